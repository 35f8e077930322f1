/** Verified reads from a layer: nothing is decoded whose digest does not match. */
import { sha256Hex } from "../crypto.ts";
import { MemoryBudget } from "../entry_rules.ts";
import { CacheError, isBadLayer } from "../errors.ts";
import type { Layer } from "../manifest.ts";
import { release } from "../memory.ts";
import type { LayerFile } from "../store.ts";
import { describeFrame, skippableContent } from "./frames.ts";
import { type Frame, type LayerIndex, maxIndexRawBytes, parseIndex } from "./index.ts";
import { decompressFrame } from "./zstd.ts";

/**
 * @param budget what indexes may decode to, this one and others that are kept as well.
 * @throws {CacheError} `bad_layer` or `bad_index`, naming the layer
 */
export function readIndex(
  file: LayerFile,
  layer: Layer,
  budget = new MemoryBudget(maxIndexRawBytes),
): Promise<LayerIndex> {
  return blaming(layer.name, () => readIndexOf(file, layer, budget));
}

async function readIndexOf(file: LayerFile, layer: Layer, budget: MemoryBudget): Promise<LayerIndex> {
  if (file.bytes !== layer.bytes) {
    throw new CacheError(
      "bad_layer",
      `Cannot use layer ${layer.name} as it has ${file.bytes} bytes where its generation says ${layer.bytes}`,
    );
  }
  if (layer.index.bytes > maxIndexRawBytes) {
    throw new CacheError(
      "bad_index",
      `Cannot use layer ${layer.name} as its index has ${layer.index.bytes} bytes, more than ${maxIndexRawBytes}`,
    );
  }
  const frame = await readVerified(file, { ...layer.index, what: `the index of layer ${layer.name}` });
  const compressed = skippableContent(frame);
  const rawBytes = compressed && describeFrame(compressed)?.contentBytes;
  if (!compressed || rawBytes === undefined || rawBytes > maxIndexRawBytes) {
    throw new CacheError(
      "bad_index",
      `Cannot use layer ${layer.name} as its index is not one zstd frame of at most ${maxIndexRawBytes} bytes`,
    );
  }
  budget.take(rawBytes);
  const raw = await decompressFrame(compressed, rawBytes);
  const index = parseIndex(raw, layer.name);
  release(raw);
  return index;
}

/** A frame's decoded bytes. @throws {CacheError} `bad_layer` before anything is decoded, if its digest is wrong. */
export function readFrame(file: LayerFile, frame: Frame, layer: string): Promise<Uint8Array> {
  return blaming(layer, async () => {
    const stored = await readVerified(file, {
      ...frame,
      what: `the frame at ${frame.offset} of layer ${layer}`,
    });
    const raw = await decompressFrame(stored, frame.raw_bytes);
    release(stored);
    return raw;
  });
}

/** As `readFrame`, for who awaits it later: until then a failure does not count as unhandled. */
export function beginFrame(file: LayerFile, frame: Frame, layer: string): Promise<Uint8Array> {
  const decoded = readFrame(file, frame, layer);
  decoded.catch(() => {});
  return decoded;
}

/** What is found wrong in `step` is that layer's fault. */
async function blaming<T>(layer: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (!isBadLayer(error) || error.layer !== undefined) throw error;
    throw new CacheError(error.code, error.message, { cause: error, layer });
  }
}

interface Range {
  readonly offset: number;
  readonly bytes: number;
  readonly sha256: string;
  /** For messages. */
  readonly what: string;
}

/** A network file system can answer once with stale bytes, or too few: only what is wrong twice is wrong. */
async function readVerified(file: LayerFile, range: Range): Promise<Uint8Array> {
  for (let attempt = 1;; attempt++) {
    try {
      return await readOnce(file, range);
    } catch (error) {
      if (!isBadLayer(error) || attempt === 2) throw error;
    }
  }
}

async function readOnce(file: LayerFile, { offset, bytes, sha256, what }: Range): Promise<Uint8Array> {
  const read = await file.read(offset, bytes);
  if (sha256Hex(read) === sha256) return read;
  throw new CacheError("bad_layer", `Cannot use ${what} as its SHA-256 is not ${sha256}`);
}
