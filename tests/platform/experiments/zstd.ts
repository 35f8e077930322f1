/** node:zlib's zstd, called as lib/archive/zstd.ts calls it. */
import { Buffer } from "node:buffer";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { describeFrame, skippableFrame } from "../../../lib/archive/frames.ts";
import type { System } from "../../../lib/system.ts";
import { outcomeOf } from "./outcome.ts";

const compressAsync = promisify(zlib.zstdCompress);
const decompressAsync = promisify(zlib.zstdDecompress);
const { constants } = zlib;

/** Half noise, half text, the same on every run. */
function sample(bytes: number): Uint8Array {
  const sample = new Uint8Array(bytes);
  let state = 1;
  for (let i = 0; i < bytes; i++) {
    // Xorshift.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    sample[i] = (i >> 10) % 2 === 0 ? state : 65 + (i % 7);
  }
  return sample;
}

function compress(bytes: Uint8Array, windowLog: number, size?: "unpledged"): Promise<Uint8Array> {
  return compressAsync(bytes, {
    ...(size === "unpledged" ? {} : { pledgedSrcSize: bytes.length }),
    chunkSize: roomFor(bytes.length),
    params: {
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_checksumFlag]: 1,
      [constants.ZSTD_c_contentSizeFlag]: 1,
    },
  });
}

/** More than zstd ever makes of so many bytes. */
const roomFor = (bytes: number) => bytes + (bytes >> 7) + 1024;

function decompress(
  bytes: Uint8Array,
  options: { maxBytes: number; chunkBytes?: number },
): Promise<Uint8Array> {
  return decompressAsync(bytes, {
    maxOutputLength: options.maxBytes,
    ...(options.chunkBytes === undefined ? {} : { chunkSize: options.chunkBytes }),
    params: { [constants.ZSTD_d_windowLogMax]: 27 },
  });
}

const areEqual = (a: Uint8Array, b: Uint8Array) =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

/** What the frame of a compressed sample says about itself. */
export async function compression(_system: System) {
  const bytes = sample(300_000);
  const describe = async (windowLog: number, size?: "unpledged") => {
    const { contentBytes, hasChecksum } = describeFrame(await compress(bytes, windowLog, size)) ?? {};
    return { contentBytes, hasChecksum };
  };
  const small = await compressAsync(bytes, { pledgedSrcSize: bytes.length, chunkSize: 16_384 });
  const empty = await compressAsync(new Uint8Array(), { pledgedSrcSize: 0 });
  return {
    bytes: bytes.length,
    window25: await describe(25),
    window27: await describe(27),
    unpledged: await describe(25, "unpledged"),
    // Bytes after the frame where the output did not fit into one chunk.
    surplusBytesOfSmallChunks: small.length - (describeFrame(small)?.frameBytes ?? 0),
    surplusBytesOfOneChunk: await compress(bytes, 25).then((one) =>
      one.length - (describeFrame(one)?.frameBytes ?? 0)
    ),
    emptyContentBytes: describeFrame(empty)?.contentBytes,
  };
}

export async function decoding(_system: System) {
  const results: Record<string, boolean> = {};
  for (const windowLog of [25, 27]) {
    for (const size of [1, 64, 65_536, 300_000, 3_000_000]) {
      const bytes = sample(size);
      const frame = await compress(bytes, windowLog);
      const decoded = await decompress(frame, { maxBytes: size, chunkBytes: Math.max(size, 64) });
      results[`${size} bytes, window 2^${windowLog}`] = areEqual(decoded, bytes);
    }
  }
  const frame = await compress(sample(300_000), 25);
  return {
    results,
    oneByteTooMany: await outcomeOf(() => decompress(frame, { maxBytes: 299_999, chunkBytes: 299_999 })),
    oneByteTooManyInSmallChunks: await outcomeOf(() => decompress(frame, { maxBytes: 299_999 })),
  };
}

/** A frame of five raw bytes whose header asks for a window of 2^`windowLog` bytes. */
function frameWithWindow(windowLog: number): Uint8Array {
  const header = [0x28, 0xb5, 0x2f, 0xfd, 0x80, (windowLog - 10) << 3, 5, 0, 0, 0];
  const lastRawBlock = [(5 << 3) | 1, 0, 0];
  return Uint8Array.from([...header, ...lastRawBlock, ...new TextEncoder().encode("hello")]);
}

/** Which windows are decoded where the limit is 2^27. */
export async function windows(_system: System) {
  const decode = (windowLog: number) =>
    outcomeOf(() => decompress(frameWithWindow(windowLog), { maxBytes: 5, chunkBytes: 64 }));
  return { window27: await decode(27), window28: await decode(28) };
}

/** How many bytes come out of a frame that is cut short by so many bytes, or why none do. */
export async function damage(_system: System) {
  const bytes = sample(300_000);
  const frame = await compress(bytes, 25);
  const lengthOf = async (input: Uint8Array) => {
    try {
      return (await decompress(input, { maxBytes: bytes.length, chunkBytes: bytes.length })).length;
    } catch {
      return "thrown";
    }
  };
  const cut: Record<string, number | string> = {};
  for (const missing of [4, 5, 1_000, frame.length >> 1, frame.length - 5, frame.length]) {
    cut[missing] = await lengthOf(frame.subarray(0, frame.length - missing));
  }
  const flipped = (at: number) => frame.map((byte, i) => i === at ? byte ^ 1 : byte);
  return {
    bytes: bytes.length,
    cut: Object.values(cut),
    flippedContent: await lengthOf(flipped(frame.length >> 1)),
    flippedChecksum: await lengthOf(flipped(frame.length - 1)),
    flippedMagic: await lengthOf(flipped(0)),
  };
}

/** How many bytes come out where the input is not exactly one frame; each frame holds 1,000 bytes. */
export async function manyFrames(_system: System) {
  const frame = await compress(sample(1_000), 25);
  const skippable = skippableFrame(new Uint8Array(9));
  const lengthOf = async (parts: Uint8Array[], maxBytes: number, chunkBytes?: number) => {
    const options = { maxBytes, ...(chunkBytes === undefined ? {} : { chunkBytes }) };
    return (await decompress(Buffer.concat(parts), options)).length;
  };
  return {
    two: await lengthOf([frame, frame], 2_000),
    twoInOneChunk: await lengthOf([frame, frame], 2_000, 2_000),
    afterSkippable: await lengthOf([skippable, frame], 1_000),
    beforeSkippable: await lengthOf([frame, skippable], 1_000),
  };
}
