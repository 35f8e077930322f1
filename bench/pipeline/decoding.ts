/** Ways to decode frames by node:zlib, on the runtime's threads. */
import * as v from "valibot";
import * as zlib from "node:zlib";

/** As many as a load decodes while nothing is written. */
const framesAtOnce = 2;

const windowLogMax = { [zlib.constants.ZSTD_d_windowLogMax]: 27 };

export const decodingSchema = v.variant("kind", [
  v.object({
    kind: v.literal("whole"),
    /** By how much the output buffer is larger than what is decoded. */
    spareBytes: v.number(),
    /** The memory is given back at once, not when the collector comes to it. */
    givesBack: v.boolean(),
  }),
  v.object({ kind: v.literal("pieces"), pieceBytes: v.number() }),
]);

export type Decoding = v.InferOutput<typeof decodingSchema>;

export interface EncodedFrame {
  readonly rawBytes: number;
  /** Into memory that is the caller's alone. */
  read(): Promise<Uint8Array>;
}

/** Decodes all, two at a time, and drops what they hold. @throws {Error} where a frame decodes to another size */
export async function decodeAll(
  frames: readonly EncodedFrame[],
  decoding: Decoding,
): Promise<void> {
  const underWay: Promise<void>[] = [];
  for (const frame of frames) {
    underWay.push(decodeFrame(frame, decoding));
    if (underWay.length === framesAtOnce) await underWay.shift();
  }
  await Promise.all(underWay);
}

async function decodeFrame(
  { rawBytes, read }: EncodedFrame,
  decoding: Decoding,
): Promise<void> {
  const encoded = await read();
  const decodedBytes = decoding.kind === "whole"
    ? await decodeWhole(encoded, {
      chunkSize: rawBytes + decoding.spareBytes,
      ...decoding,
    })
    : await decodeInPieces(encoded, decoding.pieceBytes);
  const encodedBytes = encoded.length;
  // In every variant: what it is decoded into is what is compared.
  giveBack(encoded);
  if (decodedBytes === rawBytes) return;
  throw new Error(
    `A frame of ${encodedBytes} bytes decodes to ${decodedBytes} bytes, not to ${rawBytes} as its index says`,
  );
}

function decodeWhole(
  encoded: Uint8Array,
  { chunkSize, givesBack }: { chunkSize: number; givesBack: boolean },
): Promise<number> {
  return new Promise((resolve, reject) =>
    zlib.zstdDecompress(
      encoded,
      { chunkSize, params: windowLogMax },
      (error, decoded) => {
        if (error) return reject(error);
        resolve(decoded.length);
        if (givesBack) giveBack(decoded);
      },
    )
  );
}

async function decodeInPieces(
  encoded: Uint8Array,
  pieceBytes: number,
): Promise<number> {
  const stream = zlib.createZstdDecompress({
    chunkSize: pieceBytes,
    params: windowLogMax,
  });
  stream.end(encoded);
  let decodedBytes = 0;
  for await (const piece of stream) {
    if (!(piece instanceof Uint8Array)) {
      throw new Error("A zstd stream of node:zlib must give bytes");
    }
    decodedBytes += piece.length;
    // One that is not full is filled further.
    if (piece.length === pieceBytes) giveBack(piece);
  }
  return decodedBytes;
}

function giveBack({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
