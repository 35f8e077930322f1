/** Files become a layer: one tar stream in independent zstd frames, and an index of it. */
import { sha256Hex } from "../crypto.ts";
import { CacheError } from "../errors.ts";
import { release } from "../memory.ts";
import { compressFrame } from "./zstd.ts";
import { skippableFrame } from "./frames.ts";
import {
  encodeIndex,
  type Frame,
  type IndexedFile,
  type LayerIndex,
  maxFrameRawBytes,
  maxIndexRawBytes,
} from "./index.ts";
import { ratioProblem } from "./plan.ts";
import { endOfTar, paddingAfter, tarHardLink, tarHeader } from "./tar.ts";
import type { Layer } from "../manifest.ts";
import type { LayerUpload } from "../store.ts";

/** A file's content and what is told about it, all of one moment. */
export interface SourceFile {
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
  readonly mtimeNs: bigint;
  /** How often the path's file was replaced, this time included. */
  readonly replacements?: number;
}

/** A layer that has been written but not yet published: it has no name. */
export type PackedLayer = Omit<Layer, "name">;

/** One that is filled, and one that is compressed meanwhile, on the runtime's threads. */
const leastFramesHeld = 2;

/** So that a save on many cores stays within a few hundred megabytes. */
const mostFramesHeld = 3;

/**
 * How many frames a save holds on so many cores: one for each, as who fills one works as well. Each has 32 MiB, and takes
 * a little more than that again while it is compressed.
 */
export function framesToPack(cores: number): number {
  return Math.min(Math.max(cores, leastFramesHeld), mostFramesHeld);
}

export interface Packing {
  /** How many frames are in memory at once, the one that is filled included: at least two. */
  readonly framesHeld?: number;
  /** Is told of the raw bytes that have been compressed and written. */
  readonly onFrame?: (rawBytes: number) => void;
}

/**
 * Writes the files, in the order given, as one layer.
 * @param files are asked for one at a time, so that only a frame's worth of them is in memory.
 */
export async function packLayer(
  files: AsyncIterable<SourceFile>,
  upload: Pick<LayerUpload, "write">,
  packing: Packing = {},
): Promise<{ layer: PackedLayer; files: readonly IndexedFile[] }> {
  const frames = new FrameWriter(upload, packing);
  const indexed: IndexedFile[] = [];
  const byContent = new Map<string, IndexedFile>();
  for await (const file of files) {
    const sha256 = sha256Hex(file.content);
    const about = {
      path: file.path,
      size: file.content.length,
      mode: file.mode,
      mtime: String(file.mtimeNs),
      sha256,
      ...(file.replacements ? { replacements: file.replacements } : {}),
    };
    const twin = byContent.get(sha256);
    if (twin) {
      await frames.append(await tarHardLink(file, twin.path));
      indexed.push({ ...about, frame: twin.frame, offset: twin.offset });
      continue;
    }
    const header = await tarHeader(file, file.content.length);
    const padding = paddingAfter(file.content.length);
    await frames.keepTogether(header.length + file.content.length + padding.length);
    await frames.append(header);
    const place = frames.place();
    await frames.append(file.content);
    await frames.append(padding);
    const first = { ...about, ...place };
    byContent.set(sha256, first);
    indexed.push(first);
  }
  await frames.append(endOfTar);
  const written = await frames.finish();
  const offset = written.reduce((sum, frame) => sum + frame.bytes, 0);
  const contents = { frames: written, files: indexed };
  const problem = ratioProblem(contents, offset);
  if (problem) {
    throw new CacheError(
      "cache_too_large",
      `Cannot save ${indexed.length} files as what they become is refused: ${problem}`,
    );
  }
  const index = skippableFrame(await compressFrame(boundedIndex(contents)));
  await upload.write(index);
  return {
    layer: {
      bytes: offset + index.length,
      index: { offset, bytes: index.length, sha256: sha256Hex(index) },
      files: indexed.length,
      raw_bytes: indexed.reduce((sum, file) => sum + file.size, 0),
    },
    files: indexed,
  };
}

/** @throws {CacheError} `cache_too_large` rather than write what every reader refuses. */
function boundedIndex(contents: Omit<LayerIndex, "format">): Uint8Array {
  const bytes = encodeIndex({ format: 1, ...contents });
  if (bytes.length <= maxIndexRawBytes) return bytes;
  throw new CacheError(
    "cache_too_large",
    `Cannot save ${contents.files.length} files as their index has ${bytes.length} bytes and at most ` +
      `${maxIndexRawBytes} are read; clear the cache directory of what is no longer in use`,
  );
}

const noBytes = new Uint8Array(0);

interface Place {
  readonly frame: number;
  readonly offset: number;
}

/** Cuts a stream into frames, compresses a few at once, and writes them in order. */
class FrameWriter {
  readonly #upload: Pick<LayerUpload, "write">;
  readonly #framesHeld: number;
  readonly #onFrame: (rawBytes: number) => void;
  readonly #frames: Frame[] = [];
  /** Of frames that were compressed, to be filled anew. */
  readonly #spare: Uint8Array[] = [];
  #filling: Uint8Array | undefined;
  #filledBytes = 0;
  #cut = 0;
  #offset = 0;
  readonly #compressing: { raw: Uint8Array; compressed: Promise<Uint8Array> }[] = [];

  constructor(
    upload: Pick<LayerUpload, "write">,
    { framesHeld = leastFramesHeld, onFrame = () => {} }: Packing,
  ) {
    this.#upload = upload;
    this.#framesHeld = framesHeld;
    this.#onFrame = onFrame;
  }

  /** Ends the frame if the next `bytes` fit into one, but not into this one: who reads them copies nothing together. */
  async keepTogether(bytes: number): Promise<void> {
    const isSplit = this.#filledBytes + bytes > maxFrameRawBytes;
    if (isSplit && bytes <= maxFrameRawBytes) await this.#cutFrame();
  }

  /** Where the next byte will be. */
  place(): Place {
    return { frame: this.#cut, offset: this.#filledBytes };
  }

  /** Copies them: the caller's memory is the caller's again. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const part = rest.subarray(0, maxFrameRawBytes - this.#filledBytes);
      this.#filling ??= this.#spare.pop() ?? new Uint8Array(maxFrameRawBytes);
      this.#filling.set(part, this.#filledBytes);
      this.#filledBytes += part.length;
      rest = rest.subarray(part.length);
      if (this.#filledBytes === maxFrameRawBytes) await this.#cutFrame();
    }
  }

  async finish(): Promise<Frame[]> {
    if (this.#filledBytes > 0) await this.#cutFrame();
    while (this.#compressing.length > 0) await this.#writeOldest();
    return this.#frames;
  }

  async #cutFrame(): Promise<void> {
    const raw = (this.#filling ?? noBytes).subarray(0, this.#filledBytes);
    this.#filling = undefined;
    this.#filledBytes = 0;
    this.#cut++;
    const compressed = compressFrame(raw);
    // Awaited in order below; until then a failure must not count as unhandled.
    compressed.catch(() => {});
    this.#compressing.push({ raw, compressed });
    if (this.#compressing.length >= this.#framesHeld) await this.#writeOldest();
  }

  async #writeOldest(): Promise<void> {
    const oldest = this.#compressing.shift();
    if (!oldest) return;
    const bytes = await oldest.compressed;
    await this.#upload.write(bytes);
    this.#frames.push({
      offset: this.#offset,
      bytes: bytes.length,
      raw_bytes: oldest.raw.length,
      sha256: sha256Hex(bytes),
    });
    this.#offset += bytes.length;
    release(bytes);
    this.#onFrame(oldest.raw.length);
    this.#spare.push(new Uint8Array(oldest.raw.buffer));
  }
}
