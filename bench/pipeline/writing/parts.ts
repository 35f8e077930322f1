/** Files on their way to a worker thread: their memory is handed over, and what is told of them is few large values. */
import type { PlannedFile } from "../../../lib/archive.ts";
import type { ReadFile } from "../../../lib/archive/unpack.ts";

/** Files whose contents lie in one buffer. */
export interface Part {
  readonly buffer: ArrayBuffer;
  /** The files' places, separated by NUL: one string is copied sooner than many. */
  readonly places: string;
  /** For each file: where its content begins in the buffer, its size, its mode. */
  readonly numbers: Float64Array;
  readonly mtimesNs: BigInt64Array;
}

export const numbersEach = 3;

/** @param placeOf is asked once for each file. */
export function partsOf(
  files: readonly ReadFile[],
  placeOf: (file: PlannedFile) => string,
): Part[] {
  return [...Map.groupBy(files, ({ content }) => content.buffer)].map(
    ([buffer, sharing]) => {
      if (!(buffer instanceof ArrayBuffer)) {
        throw new Error("Cannot hand over memory that is shared already");
      }
      return {
        buffer,
        places: sharing.map(({ planned }) => placeOf(planned)).join("\0"),
        numbers: new Float64Array(
          sharing.flatMap(({ planned, content }) => [content.byteOffset, content.length, planned.mode]),
        ),
        mtimesNs: new BigInt64Array(sharing.map(({ planned }) => BigInt(planned.mtime))),
      };
    },
  );
}
