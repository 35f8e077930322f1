/** Versions of files as plain numbers, for a record and for another thread: four of 64 bits for each. Pure. */
import type { FileVersion } from "./system.ts";

/** Inode, size, modification and change time (ns). */
export const numbersOfVersion = 4;

export function packVersions(versions: readonly FileVersion[]): BigInt64Array<ArrayBuffer> {
  const numbers = new BigInt64Array(versions.length * numbersOfVersion);
  let at = 0;
  for (const { ino, size, mtimeNs, ctimeNs } of versions) {
    numbers[at++] = ino;
    numbers[at++] = BigInt(size);
    numbers[at++] = mtimeNs;
    numbers[at++] = ctimeNs;
  }
  return numbers;
}

export function unpackVersions(numbers: BigInt64Array): FileVersion[] {
  const versions: FileVersion[] = [];
  for (let at = 0; at < numbers.length; at += numbersOfVersion) {
    versions.push({
      ino: BigInt.asUintN(64, numbers[at] ?? 0n),
      size: Number(numbers[at + 1]),
      mtimeNs: numbers[at + 2] ?? 0n,
      ctimeNs: numbers[at + 3] ?? 0n,
    });
  }
  return versions;
}
