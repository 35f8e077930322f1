/** Memory is short on small machines, and a benchmark that lets the kernel kill processes disturbs others. */
import * as os from "node:os";

/** Why something that takes so many bytes cannot be measured now; undefined where it can. */
export function memoryProblem(neededBytes: number): string | undefined {
  const freeBytes = os.freemem();
  if (freeBytes >= neededBytes) return undefined;
  return `it takes ${gigabytes(neededBytes)} of memory and ${gigabytes(freeBytes)} are free`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
