/**
 * File-system steps as a shared store needs them: explicit modes, whole files, durability, errors that say so.
 * Nothing here is synchronous, as a share can hang.
 */
import { CacheError, errnoOf, messageOf } from "../errors.ts";
import type { FileStat, FileSystem, OpenFile } from "../system.ts";
import { quote } from "../text.ts";

/** Owner, group and permissions for what is created, after the store's root; the umask plays no part. */
export interface Modes {
  readonly file: number;
  readonly directory: number;
  readonly gid: number;
}

/** Readable by whoever can read the root; writable by the owner and, if the root is, by the group; never by all. */
export function modesAfter(root: FileStat): Modes {
  return { file: (root.mode & 0o664) | 0o600, directory: (root.mode & 0o775) | 0o700, gid: root.gid };
}

export interface Share {
  readonly fs: FileSystem;
  readonly modes: Modes;
}

/** Any failure of the share as the one error that says so. */
export function storeError(action: string, path: string, cause: unknown): CacheError {
  if (cause instanceof CacheError) return cause;
  const errno = errnoOf(cause);
  const failed = `Cannot ${action} "${path}" in the shared store: ${errno ?? messageOf(cause)}`;
  return errno === "ENOSPC" || errno === "EDQUOT"
    ? new CacheError("no_space", `${failed}; the volume is full: remove old caches from it or enlarge it`, {
      cause,
    })
    : new CacheError("store_io", failed, { cause });
}

/** Runs one step on the share; its failures become `storeError`s. */
export async function onShare<T>(action: string, path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw storeError(action, path, error);
  }
}

/** How often a step that only reads is made where a network file system says that what it knew is stale. */
const staleAttempts = 3;

/**
 * As `onShare`, for a step that only reads. ESTALE says that another machine removed or replaced what this one had a
 * handle of: the next look finds what is there now.
 */
export async function readOnShare<T>(action: string, path: string, step: () => Promise<T>): Promise<T> {
  return await onShare(action, path, async () => {
    for (let attempt = 1;; attempt++) {
      try {
        return await step();
      } catch (error) {
        if (errnoOf(error) !== "ESTALE" || attempt >= staleAttempts) throw error;
      }
    }
  });
}

/** As `step`, with ENOENT and ENOTDIR as undefined: nothing is there. */
export async function ifThere<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Creates a directory and those above it up to `top`, which is there already. */
export async function ensureDirectory(share: Share, path: string, top: string): Promise<void> {
  if (path === top) return;
  try {
    await share.fs.mkdir(path, share.modes.directory);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return await requireInPlace(share.fs, path);
    if (errno !== "ENOENT") throw error;
    await ensureDirectory(share, path.slice(0, path.lastIndexOf("/")), top);
    return await ensureDirectory(share, path, top);
  }
  await giveToGroup(() => share.fs.chown(path, -1, share.modes.gid));
}

/** Whether a directory of the store is there and no symlink leads to it. */
export async function isInPlace(fs: FileSystem, path: string): Promise<boolean> {
  return await ifThere(() => fs.realPath(path)) === path;
}

/**
 * Nothing is written or removed through a symlink, which another writer of the share can put in a directory's place.
 * @throws {CacheError} `store_io`
 */
async function requireInPlace(fs: FileSystem, path: string): Promise<void> {
  if (await isInPlace(fs, path)) return;
  throw new CacheError(
    "store_io",
    `Cannot write to ${
      quote(path)
    } in the shared store as it must be a directory and not a symlink: remove it`,
  );
}

/** Best effort: only the owner of a file who is in the group may do it. */
async function giveToGroup(chown: () => Promise<void>): Promise<void> {
  try {
    await chown();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "EPERM" && errno !== "EINVAL" && errno !== "ENOTSUP" && errno !== "EOPNOTSUPP") throw error;
  }
}

/** Creates a file that nobody else writes: its name holds a fresh nonce. */
export async function createPrivate(share: Share, path: string): Promise<OpenFile> {
  const file = await share.fs.open(path, "wx");
  try {
    await file.chmod(share.modes.file);
    await giveToGroup(() => file.chown(-1, share.modes.gid));
    return file;
  } catch (error) {
    await bestEffort(() => file.close());
    await bestEffort(() => share.fs.unlink(path));
    throw error;
  }
}

/** A step on a file that stays open if it succeeds. */
export async function closedOnFailure<T>(file: OpenFile, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    await bestEffort(() => file.close());
    throw error;
  }
}

/** Writes a whole file durably. A failed fsync or close is a failed write. */
export async function writePrivate(share: Share, path: string, bytes: Uint8Array): Promise<void> {
  const file = await createPrivate(share, path);
  await closedOnFailure(file, async () => {
    await file.append(bytes);
    await file.sync();
  });
  await file.close();
}

/**
 * Reads all of a small file, and of one that has more than `maxBytes`, which no writer makes, the first `maxBytes` and one
 * more. It asks by opening: the absence of a name may be a network file system's memory of the past.
 * @returns undefined for a directory, and no bytes for what is no regular file.
 */
export async function readWhole(
  fs: FileSystem,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const file = await fs.open(path, "r");
  try {
    const { kind, size } = await file.stat();
    if (kind === "directory") return undefined;
    const bytes = new Uint8Array(kind === "file" ? Math.min(size, maxBytes + 1) : 0);
    let filled = 0;
    while (filled < bytes.length) {
      const count = await file.read(bytes.subarray(filled), filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  } finally {
    await file.close();
  }
}

/** In ms since 1970, by the clock of the share. */
export function modifiedMs({ mtimeNs }: FileStat): number {
  return Number(mtimeNs / 1_000_000n);
}

/** Removes a file by way of the name `away`, which nobody knows: others find it whole or not at all. */
export async function removeAway(share: Share, path: string, away: string): Promise<void> {
  if (await ifThere(async () => (await share.fs.rename(path, away), true)) === undefined) return;
  await bestEffort(() => share.fs.unlink(away));
}

export async function syncDirectory(share: Share, path: string): Promise<void> {
  try {
    await share.fs.syncDirectory(path);
  } catch (error) {
    const errno = errnoOf(error);
    // Some network file systems have no fsync of a directory: their renames and links are durable by themselves.
    if (errno !== "EINVAL" && errno !== "ENOTSUP" && errno !== "EOPNOTSUPP" && errno !== "EISDIR") {
      throw error;
    }
  }
}

/**
 * A step whose failure changes nothing for anyone: removing a leftover of this attempt, which a later sweep finds
 * by its name, or noting a use on a share that cannot be written to.
 */
export async function bestEffort(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch {
    // See above.
  }
}
