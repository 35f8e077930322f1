/** An archive in memory, and one that is another at the second reading. */
import type { LayerFile } from "../../lib/store.ts";

export interface MemoryFile extends LayerFile {
  /** From here on the file has these bytes. */
  become(bytes: Uint8Array): void;
}

export function memoryFile(bytes: Uint8Array): MemoryFile {
  let current = bytes;
  return {
    bytes: bytes.length,
    read: (offset, length) => Promise.resolve(Uint8Array.from(current.subarray(offset, offset + length))),
    become: (next) => {
      current = next;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
