/** Local files become a published layer, never with a file that was caught half-written. */
import { sha256Hex } from "./crypto.ts";
import { framesToPack, type IndexedFile, packLayer, type SourceFile } from "./archive.ts";
import { localError } from "./local_error.ts";
import { type House, unmoved } from "./moving_house.ts";
import type { Layer } from "./manifest.ts";
import { reusedMemory } from "./memory.ts";
import type { Operation } from "./operation.ts";
import { isStill, readStable, sameVersion, type StableRead } from "./stable_read.ts";
import type { Store } from "./store.ts";
import type { FileStat } from "./system.ts";
import { quote } from "./text.ts";
import type { LocalFile } from "./tree.ts";
import type { AddedFile } from "./comparison.ts";

/** How often a layer is packed anew as files changed under it, before those are left for the next save. */
const attempts = 3;

/**
 * A file written less than this long ago may be in the middle of several writes; whether it was is seen by
 * looking again once this time has passed.
 */
const settleMs = 500;

export interface NewLayer {
  readonly layer: Layer;
  readonly files: readonly IndexedFile[];
  /** It is to stand alone: the layers before it are no longer part of the cache. */
  readonly replacesAll?: true;
}

export type PackOutcome =
  | ({ readonly kind: "published" } & NewLayer)
  /** Nothing was published. */
  | { readonly kind: "too_large"; readonly bytes: number }
  /** No file held still. */
  | { readonly kind: "nothing" };

/**
 * Packs `files` and publishes the layer if it has at most `maxBytes`. Files that change meanwhile are packed
 * again; those that will not hold still, or that vanish, are left for the next save, with a notice.
 */
export async function packTree(
  operation: Operation,
  store: Store,
  { files, maxBytes, house = unmoved }: {
    files: readonly AddedFile[];
    maxBytes: number;
    /** What the store has the files' paths for. */
    house?: House;
  },
): Promise<PackOutcome> {
  let candidates = inPackingOrder(files);
  for (let attempt = 1; candidates.length > 0; attempt++) {
    const lastAttempt = attempt >= attempts;
    await using upload = await store.beginLayer(operation.key);
    const reader = new TreeReader(operation, candidates, house);
    const packed = await packLayer(reader.files(), upload, {
      framesHeld: framesToPack(operation.system.runtime.cores),
      onFrame: reader.onFrame,
    });
    const changed = await reader.changedSince();
    const leftOut = new Set([...reader.unread, ...(lastAttempt ? changed : [])]);
    for (const file of leftOut) {
      operation.notice(`${quote(file.path)} cannot be read, or keeps changing: it is left for the next save`);
    }
    if (changed.size === 0 && packed.files.length > 0) {
      operation.signal.throwIfAborted();
      if (packed.layer.bytes > maxBytes) return { kind: "too_large", bytes: packed.layer.bytes };
      return {
        kind: "published",
        layer: { name: await upload.publish(), ...packed.layer },
        files: packed.files,
      };
    }
    candidates = candidates.filter((file) => !leftOut.has(file));
  }
  return { kind: "nothing" };
}

/** Likes together: Inductor's graph entries embed copies of the kernels beside them. docs/performance.md measures it. */
function inPackingOrder(files: readonly AddedFile[]): AddedFile[] {
  const kind = (path: string) => path.slice(path.lastIndexOf(".") + 1);
  const keyed = files.map((file) => ({ file, order: `${kind(file.path)}\0${file.path}` }));
  return keyed.sort((a, b) => (a.order < b.order ? -1 : 1)).map(({ file }) => file);
}

/** Reads files for a layer and remembers which version of each went into it. */
class TreeReader {
  /** Files that would not hold still, or were gone. */
  readonly unread: LocalFile[] = [];
  readonly #operation: Operation;
  readonly #house: House;
  readonly #candidates: readonly AddedFile[];
  readonly #versions = new Map<LocalFile, FileStat>();
  /** Digests of what was read moments after it was written: a second write in the same tick of the clock moves no time. */
  readonly #young = new Map<LocalFile, string>();
  readonly #total: number;
  /** A file's content is copied before the next one is asked for. */
  readonly #allocate = reusedMemory();
  #done = 0;

  constructor(operation: Operation, candidates: readonly AddedFile[], house: House) {
    this.#operation = operation;
    this.#house = house;
    this.#candidates = candidates;
    this.#total = candidates.reduce((sum, file) => sum + file.stat.size, 0);
  }

  readonly onFrame = (rawBytes: number): void => {
    this.#done += rawBytes;
    this.#operation.progress(Math.min(this.#done, this.#total), this.#total);
  };

  async *files(): AsyncGenerator<SourceFile> {
    for (const file of this.#candidates) {
      this.#operation.signal.throwIfAborted();
      const read = await this.#read(file);
      if (!read) {
        this.unread.push(file);
        continue;
      }
      // One for each file is enough: there may be 100,000.
      this.#versions.set(file, sameVersion(read.stat, file.stat) ? file.stat : read.stat);
      if (this.#isYoung(read.stat)) this.#young.set(file, digestOf(read.content));
      yield {
        path: file.path,
        content: this.#house.rewritten(file.path, read.content),
        mode: read.stat.mode & 0o777,
        mtimeNs: read.stat.mtimeNs,
        ...(file.replacements === undefined ? {} : { replacements: file.replacements }),
      };
    }
  }

  /** The files that are no longer what was read, once the newest of them has had time to settle. */
  async changedSince(): Promise<ReadonlySet<LocalFile>> {
    await this.#settle();
    const changed = new Set<LocalFile>();
    for (const [file, stat] of this.#versions) {
      if (!await this.#isStill(file, stat)) changed.add(file);
    }
    return changed;
  }

  async #isStill(file: LocalFile, stat: FileStat): Promise<boolean> {
    const digest = this.#young.get(file);
    if (digest !== undefined) {
      const again = await this.#read(file);
      if (!again || digestOf(again.content) !== digest) return false;
    }
    try {
      return await isStill(this.#operation.system.disk, file, stat);
    } catch (error) {
      throw localError("look at", file.place, error);
    }
  }

  async #settle(): Promise<void> {
    const young = [...this.#versions.values()].filter((stat) => this.#isYoung(stat));
    if (young.length === 0) return;
    const ageMs = Math.min(...young.map((stat) => this.#ageMs(stat)));
    await this.#operation.system.clock.sleep(settleMs - ageMs, this.#operation.signal);
  }

  /** Written less than `settleMs` ago. A time in the future is no sign of a writer at work. */
  #isYoung(stat: FileStat): boolean {
    const ageMs = this.#ageMs(stat);
    return ageMs >= 0 && ageMs < settleMs;
  }

  #ageMs({ mtimeNs }: FileStat): number {
    return this.#operation.system.clock.nowMs() - Number(mtimeNs / 1_000_000n);
  }

  async #read(file: LocalFile): Promise<StableRead | undefined> {
    try {
      return await readStable(this.#operation.system.disk, file, this.#allocate);
    } catch (error) {
      throw localError("read", file.place, error);
    }
  }
}

function digestOf(content: Uint8Array): string {
  return sha256Hex(content);
}
