/**
 * Leases as files. A holder keeps its file open and appends a byte for every beat: what it appends once the file was
 * taken away from it goes nowhere, so a holder that wakes up late does no harm.
 */
import type { HeldLease, LeasePlace, Leases } from "../store.ts";
import type { OpenFile, Random } from "../system.ts";
import { leasePaths, nonceBytes } from "./layout.ts";
import { type CommitWay, holdIfAbsent, linkBack, readPut, removePut } from "./put.ts";
import { bestEffort, ensureDirectory, ifThere, onShare, readOnShare, type Share } from "./share.ts";

const beatByte = new TextEncoder().encode(".");

/** A day and a half of beats; a lease that has more does not change any more, and so looks dead. */
const maxLeaseBytes = 64 * 1024;

export interface LeaseFiles {
  readonly random: Random;
  readonly share: Share;
  readonly nativeDir: string;
  readonly way: CommitWay;
}

export function leaseFiles(files: LeaseFiles): Leases {
  return {
    take: (place, holder) => take(files, place, holder),
    look: (place) => look(files, place),
    free: (place, content) => free(files, place, (found) => found === content),
  };
}

async function take(files: LeaseFiles, place: LeasePlace, holder: string): Promise<HeldLease | undefined> {
  const { share, random, nativeDir, way } = files;
  const { path, incoming } = leasePaths(nativeDir, place);
  const nonce = random.hex(nonceBytes);
  // The nonce first: it tells whose lease this is, whatever was appended.
  const line = `${JSON.stringify({ nonce, holder })}\n`;
  return await onShare("take the lease", path, async () => {
    await ensureDirectory(share, incoming, nativeDir);
    const file = await holdIfAbsent(share, {
      path,
      bytes: new TextEncoder().encode(line),
      temporary: `${incoming}/${nonce}.lease`,
      way,
    });
    return file && heldLease(file, () => free(files, place, (found) => found.startsWith(line)));
  });
}

function heldLease(file: OpenFile, release: () => Promise<void>): HeldLease {
  return {
    // One that cannot be changed looks dead after a while, and is then another's: no data depends on it.
    beat: () =>
      bestEffort(async () => {
        await file.append(beatByte);
        // What a network file system has not sent is not seen by others.
        await file.sync();
      }),
    [Symbol.asyncDispose]: async () => {
      await bestEffort(() => file.close());
      await bestEffort(release);
    },
  };
}

async function look({ share, nativeDir }: LeaseFiles, place: LeasePlace): Promise<string | undefined> {
  const { path } = leasePaths(nativeDir, place);
  const bytes = await readOnShare("look at the lease", path, () => readPut(share, path, maxLeaseBytes));
  return bytes && new TextDecoder().decode(bytes);
}

/**
 * Takes a lease out of its place, and puts it back if by then it has become another one's. Between the two moves the
 * place looks free: two may hold it then, which is no worse than a lease that was taken for dead.
 */
async function free(
  { share, random, nativeDir, way }: LeaseFiles,
  place: LeasePlace,
  isDue: (content: string) => boolean,
): Promise<void> {
  const { path, incoming } = leasePaths(nativeDir, place);
  const away = `${incoming}/${random.hex(nonceBytes)}.lease`;
  await onShare("free the lease", path, async () => {
    const before = await readPut(share, path, maxLeaseBytes);
    if (!before || !isDue(new TextDecoder().decode(before))) return;
    if (await ifThere(async () => (await share.fs.rename(path, away), true)) === undefined) return;
    try {
      const moved = await readPut(share, away, maxLeaseBytes);
      const isOthers = moved !== undefined && !isDue(new TextDecoder().decode(moved));
      if (isOthers) await linkBack(share, { from: away, to: path, way });
    } finally {
      await bestEffort(() => removePut(share, away));
    }
  });
}
