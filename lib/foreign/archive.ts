/**
 * One of b10-transfer's archives, a gzipped tar of a torch cache directory without a digest: read twice. The first time
 * everything in it is checked and nothing written; the second time it must be the same bytes.
 */
import { sha256 } from "../crypto.ts";
import { decodesToMore, maxRawBytes } from "../entry_rules.ts";
import type { LayerFile } from "../store.ts";
import { ByteSource } from "./byte_source.ts";
import { gunzip, GzipRule } from "./gunzip.ts";
import { type ArchivedFile, type ArchivePlan, ArchivePlanner, entryPath } from "./plan.ts";
import { refuseArchive } from "./refusal.ts";
import { tarEntries, type TarEntry, TarRule } from "./tar_entries.ts";

/** Large enough that a network file system reads ahead. */
const pieceBytes = 1024 * 1024;

/** Compile caches decode to 6 or 7 times their size with gzip. */
const maxRatio = 100;

export interface Archive {
  /** For messages. */
  readonly name: string;
  readonly file: LayerFile;
}

export interface Survey {
  readonly plan: ArchivePlan;
  /** Of the stored bytes. */
  readonly sha256: string;
}

/**
 * Reads the whole archive and keeps none of its content.
 * @throws {CacheError} `bad_archive`, naming entry and rule.
 */
export async function surveyArchive(
  archive: Archive,
  { signal }: { signal: AbortSignal },
): Promise<Survey> {
  const stored = new StoredBytes(archive.file, signal);
  const most = maxRawBytes(archive.file.bytes, maxRatio);
  const planner = new ArchivePlanner({ maxRawBytes: most });
  const plan = await refusing(archive, async () => {
    const bytes = new ByteSource(bounded(gunzip(stored.pieces()), most));
    // Before its content is decoded, so that nothing is too large for long.
    const passOver = (entry: TarEntry) => (planner.add(entry), false);
    for await (const _ of tarEntries(bytes, passOver));
    return planner.plan();
  });
  return { plan, sha256: await stored.sha256() };
}

/** Receives each file once, whole. Synchronous: while it runs, the next bytes are being decoded. */
export type ArchiveSink = (file: ArchivedFile, content: Uint8Array) => void;

/**
 * Hands the content of every file that is `wanted` to `sink`, which must keep it where nobody sees it until this has
 * returned: only then it is certain that the bytes were those of the survey.
 * @param wanted paths of the plan.
 * @throws {CacheError} `bad_archive`
 */
export async function readArchive(
  archive: Archive,
  { survey, wanted, signal }: { survey: Survey; wanted: ReadonlySet<string>; signal: AbortSignal },
  sink: ArchiveSink,
): Promise<void> {
  const stored = new StoredBytes(archive.file, signal);
  const filesOf = (name: string) =>
    survey.plan.byContent.get(entryPath(name))?.filter((file) => wanted.has(file.path)) ?? [];
  await refusing(archive, async () => {
    const bytes = new ByteSource(gunzip(stored.pieces()));
    for await (const { entry, content } of tarEntries(bytes, ({ name }) => filesOf(name).length > 0)) {
      if (!content) continue;
      for (const file of filesOf(entry.name)) {
        if (file.size === content.length) sink(file, content);
      }
    }
  });
  if (await stored.sha256() !== survey.sha256) refuseArchive(archive.name, "it changed while it was read");
}

/** Headers and names count as well. @throws {TarRule} */
async function* bounded(pieces: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    if (bytes > most) throw new TarRule(decodesToMore(most));
    yield piece;
  }
}

/** Says of which archive a rule is broken. */
async function refusing<T>({ name }: Archive, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof TarRule) refuseArchive(name, error.message, error);
    if (error instanceof GzipRule) {
      refuseArchive(name, `it is not a whole gzip file (${error.message})`, error);
    }
    throw error;
  }
}

/** The bytes of a file from its beginning to its end, and their digest. */
class StoredBytes {
  readonly #file: LayerFile;
  readonly #signal: AbortSignal;
  readonly #digest = sha256();
  #at = 0;

  constructor(file: LayerFile, signal: AbortSignal) {
    this.#file = file;
    this.#signal = signal;
  }

  /** From where the last reader stopped. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    const { bytes } = this.#file;
    while (this.#at < bytes) {
      this.#signal.throwIfAborted();
      const piece = await this.#file.read(this.#at, Math.min(pieceBytes, bytes - this.#at));
      this.#at += piece.length;
      this.#digest.update(piece);
      yield piece;
    }
  }

  /** Of all bytes, those that no reader wanted included. */
  async sha256(): Promise<string> {
    for await (const _ of this.pieces());
    return this.#digest.digest("hex");
  }
}
