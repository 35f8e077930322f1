/** A file of known size, of which exact ranges are read. */
import { CacheError } from "../errors.ts";
import type { LayerFile } from "../store.ts";
import type { OpenFile } from "../system.ts";
import { quote } from "../text.ts";

/** How the failures of a place are told: as those of the share, or of this pod's disk. */
export type Guard = <T>(step: () => Promise<T>) => Promise<T>;

/** Disposing of it closes the file. */
export function exactFile(
  file: OpenFile,
  { path, bytes, guard }: { path: string; bytes: number; guard: Guard },
): LayerFile {
  return {
    bytes,
    read: (offset, length) => guard(() => readExactly(file, { path, offset, length })),
    [Symbol.asyncDispose]: async () => {
      try {
        await file.close();
      } catch {
        // What was only read is as good where closing it fails.
      }
    },
  };
}

async function readExactly(
  file: OpenFile,
  { path, offset, length }: { path: string; offset: number; length: number },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = await file.read(bytes.subarray(filled), offset + filled);
    if (count === 0) {
      throw new CacheError("bad_layer", `Cannot use ${quote(path)} as it ends at byte ${offset + filled}`);
    }
    filled += count;
  }
  return bytes;
}
