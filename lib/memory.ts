/** Memory that is used again, or given back, rather than left to a collector, which comes too late for large pieces. */

/**
 * The least that can be given back. Both runtimes cut small buffers from a pool (of 8 KiB) that others have parts of.
 */
export const leastReleasedBytes = 64 * 1024;

/** Gives memory back at once that `bytes` alone is a view of, and leaves it empty. */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= leastReleasedBytes) buffer.transfer(0);
}

/** Memory for so many bytes. */
export type Allocate = (bytes: number) => Uint8Array;

/** One piece of memory for one content after the other: what is asked for takes the place of what was before. */
export function reusedMemory(): Allocate {
  let memory = new Uint8Array(0);
  return (bytes) => {
    if (bytes > memory.length) {
      release(memory);
      memory = new Uint8Array(bytes);
    }
    return memory.subarray(0, bytes);
  };
}
