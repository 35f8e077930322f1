/** zstd frames, with what the benchmark varies. */
import * as zlib from "node:zlib";

const { constants } = zlib;

export interface Compression {
  /** Of all frames but the last: the window is as large. */
  readonly frameBytes: number;
  readonly level: number;
  readonly longDistance: boolean;
  readonly hashRateLog?: number | undefined;
}

/** What the layers of a store are compressed with. */
export const asStored = {
  frameBytes: 32 * 1024 * 1024,
  level: 3,
  longDistance: true,
} as const;

export function compress(
  frame: Uint8Array,
  { frameBytes, level, longDistance, hashRateLog }: Compression,
): Uint8Array {
  return zlib.zstdCompressSync(frame, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_enableLongDistanceMatching]: Number(longDistance),
      [constants.ZSTD_c_windowLog]: Math.ceil(Math.log2(frameBytes)),
      ...(hashRateLog === undefined ? {} : { [constants.ZSTD_c_ldmHashRateLog]: hashRateLog }),
    },
  });
}
