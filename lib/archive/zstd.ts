/** zstd as the store needs it: one frame a call, sizes known beforehand. The work is done on the runtime's threads. */
import { CacheError } from "../errors.ts";
import { leastReleasedBytes } from "../memory.ts";
import { describeFrame, maxWindowBytes } from "./frames.ts";

/** Loaded once it is needed: that takes a while, and a process that starts anew inside the fence never comes to it. */
const loadZlib = () => import("node:zlib");

const maxWindowLog = Math.log2(maxWindowBytes);

// Level 3 with long-distance matching: docs/performance.md has the measurements.
const level = 3;

/** What is compressed comes in pieces of this size, each of which wakes the main thread. */
const compressedChunkBytes = 4 * 1024 * 1024;

/** zstd does not take a window of less than 2^10. */
const minWindowLog = 10;

/** Compresses into one frame with its content size and a checksum; the window covers all of `bytes`. */
export async function compressFrame(bytes: Uint8Array): Promise<Uint8Array> {
  const windowLog = Math.min(maxWindowLog, Math.max(minWindowLog, Math.ceil(Math.log2(bytes.length + 1))));
  const { constants, zstdCompress } = await loadZlib();
  const options = {
    chunkSize: compressedChunkBytes,
    // Without it Deno writes no content size.
    pledgedSrcSize: bytes.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_checksumFlag]: 1,
      [constants.ZSTD_c_contentSizeFlag]: 1,
    },
  };
  const compressed = await answered((done) => zstdCompress(bytes, options, done));
  const facts = describeFrame(compressed);
  if (facts?.contentBytes !== bytes.length) {
    throw new CacheError("internal", `This runtime's zstd did not make one frame of ${bytes.length} bytes`);
  }
  // Deno may append an empty frame to the one that holds everything.
  return compressed.subarray(0, facts.frameBytes);
}

/**
 * Decodes `bytes`, which must be exactly one frame of exactly `rawBytes`.
 * One-shot decoding takes truncated input for the end on both runtimes, so what a frame is gets settled first.
 * @returns the only view of its buffer, for `release`.
 * @throws {CacheError} `bad_layer`, saying what does not hold.
 */
export async function decompressFrame(bytes: Uint8Array, rawBytes: number): Promise<Uint8Array> {
  const facts = describeFrame(bytes);
  const refuse = (problem: string, cause?: unknown): never => {
    throw new CacheError("bad_layer", `Cannot decode a frame of ${bytes.length} bytes as ${problem}`, {
      cause,
    });
  };
  if (!facts) return refuse("it is not one whole zstd frame that states its size");
  if (facts.frameBytes !== bytes.length) return refuse(`it ends after ${facts.frameBytes} bytes`);
  if (facts.contentBytes !== rawBytes) return refuse(`it holds ${facts.contentBytes} bytes, not ${rawBytes}`);
  if (facts.windowBytes > maxWindowBytes) return refuse(`its window is above ${maxWindowBytes} bytes`);
  if (facts.dictionaryId !== 0) return refuse("it needs a dictionary");
  const { constants, zstdDecompress } = await loadZlib();
  const options = {
    maxOutputLength: Math.max(rawBytes, 1),
    // One buffer for all, in which a byte is left over: one that is full is followed by another of its size.
    chunkSize: Math.max(rawBytes + 1, leastReleasedBytes),
    params: { [constants.ZSTD_d_windowLogMax]: maxWindowLog },
  };
  try {
    const decoded = await answered((done) => zstdDecompress(bytes, options, done));
    return decoded.length === rawBytes
      ? decoded
      : refuse(`it decodes to ${decoded.length} bytes, not ${rawBytes}`);
  } catch (error) {
    return error instanceof CacheError ? Promise.reject(error) : refuse("its content is damaged", error);
  }
}

/** What a function of node:zlib answers. */
function answered(
  ask: (done: (error: Error | null, result: Uint8Array) => void) => void,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => ask((error, result) => error ? reject(error) : resolve(result)));
}
