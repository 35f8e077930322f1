/** Layers in memory, packed or put together by hand. */
import { createHash } from "node:crypto";
import type { LayerContents, SourceFile } from "../../lib/archive.ts";
import { planLayers, readIndex, unpackLayer } from "../../lib/archive.ts";
import { skippableFrame } from "../../lib/archive/frames.ts";
import { encodeIndex, type Frame, type IndexedFile, type LayerIndex } from "../../lib/archive/index.ts";
import { packLayer } from "../../lib/archive/pack.ts";
import { compressFrame } from "../../lib/archive/zstd.ts";
import { CacheError } from "../../lib/errors.ts";
import type { Layer } from "../../lib/manifest.ts";
import type { LayerFile } from "../../lib/store.ts";

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A file to pack, of mode 0644 and some time. */
export function sourceFile(
  path: string,
  content: string | Uint8Array,
  about: Partial<SourceFile> = {},
): SourceFile {
  return {
    path,
    content: typeof content === "string" ? textBytes(content) : content,
    mode: 0o644,
    mtimeNs: 1_760_000_000_123_456_789n,
    ...about,
  };
}

/** A layer's bytes, and what a generation says about them. */
export interface LayerInMemory {
  readonly bytes: Uint8Array;
  readonly layer: Layer;
}

export interface PackedInMemory extends LayerInMemory {
  readonly files: readonly IndexedFile[];
  /** The raw bytes of each frame, as they were told while packing. */
  readonly progress: readonly number[];
}

/** Packs files as a save does. */
export async function pack(sources: readonly SourceFile[]): Promise<PackedInMemory> {
  const parts: Uint8Array[] = [];
  const progress: number[] = [];
  const upload = {
    write: (part: Uint8Array) => Promise.resolve(void parts.push(new Uint8Array(part))),
    publish: () => Promise.reject(new Error("packLayer() does not publish")),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const { layer, files } = await packLayer(oneByOne(sources), upload, {
    onFrame: (raw) => progress.push(raw),
  });
  const bytes = new Uint8Array(Buffer.concat(parts));
  return { bytes, layer: named(bytes, layer), files, progress };
}

/** As packLayer() asks for files. */
export async function* oneByOne<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

function named(bytes: Uint8Array, layer: Omit<Layer, "name">): Layer {
  return { name: `${sha256Of(bytes)}-${"0".repeat(32)}.tar.zst`, ...layer };
}

/** What a store's openLayer() gives; `reads` counts. */
export function layerFile(
  bytes: Uint8Array,
): LayerFile & { readonly reads: [offset: number, length: number][] } {
  const reads: [number, number][] = [];
  return {
    reads,
    bytes: bytes.length,
    read: (offset, length) => {
      reads.push([offset, length]);
      if (offset + length > bytes.length) {
        return Promise.reject(new CacheError("bad_layer", `ends at byte ${bytes.length}`));
      }
      return Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length)));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A file as it came out of a layer. */
export interface Unpacked {
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
  readonly mtimeNs: bigint;
}

/** Reads a layer as a load does: index, plan, every file. */
export async function unpack({ bytes, layer }: LayerInMemory): Promise<Unpacked[]> {
  const file = layerFile(bytes);
  const contents: LayerContents = { layer, index: await readIndex(file, layer) };
  const unpacked: Unpacked[] = [];
  await unpackLayer({ file, contents }, [...planLayers([contents]).values()], (planned, content) => {
    const { path, mode, mtime } = planned;
    unpacked.push({ path, content: new Uint8Array(content), mode, mtimeNs: BigInt(mtime) });
  });
  return unpacked;
}

/** By path, as plain values: for comparisons. */
export function byPath(files: readonly (Unpacked | SourceFile)[]): Record<string, unknown> {
  return Object.fromEntries(
    files.map((
      { path, content, mode, mtimeNs },
    ) => [path, [sha256Of(content), content.length, mode, mtimeNs]]),
  );
}

/** A layer of these frames (decoded) and files, put together without a tar. */
export async function assemble(
  raws: readonly Uint8Array[],
  files: readonly IndexedFile[],
): Promise<LayerInMemory & { index: LayerIndex }> {
  const stored = await Promise.all(raws.map(compressFrame));
  let offset = 0;
  const frames: Frame[] = [];
  for (const [at, bytes] of stored.entries()) {
    frames.push({ offset, bytes: bytes.length, raw_bytes: raws[at]?.length ?? 0, sha256: sha256Of(bytes) });
    offset += bytes.length;
  }
  const index: LayerIndex = { format: 1, frames, files: [...files] };
  return { ...await withIndex(Buffer.concat(stored), index), index };
}

/** A layer of these stored frames, with any index after them. */
export async function withIndex(
  frames: Uint8Array,
  index: LayerIndex,
): Promise<LayerInMemory> {
  const skippable = skippableFrame(await compressFrame(encodeIndex(index)));
  return withIndexFrame(frames, skippable, index.files);
}

/** As `withIndex`, with any bytes in the place of the index. */
export function withIndexFrame(
  frames: Uint8Array,
  indexFrame: Uint8Array,
  files: readonly { size: number }[] = [],
): LayerInMemory {
  const bytes = new Uint8Array(Buffer.concat([frames, indexFrame]));
  return {
    bytes,
    layer: named(bytes, {
      bytes: bytes.length,
      index: { offset: frames.length, bytes: indexFrame.length, sha256: sha256Of(indexFrame) },
      files: files.length,
      raw_bytes: files.reduce((sum, file) => sum + file.size, 0),
    }),
  };
}

/** An index's row for a file with this content. */
export function indexedFile(
  path: string,
  content: Uint8Array,
  place: Partial<IndexedFile> = {},
): IndexedFile {
  return {
    path,
    size: content.length,
    mode: 0o644,
    mtime: "1760000000123456789",
    sha256: sha256Of(content),
    frame: 0,
    offset: 0,
    ...place,
  };
}
