/** Where things lie in a store on a file system. Pure. */
import type { CacheKey } from "../key.ts";
import { maxGenerationNumber } from "../manifest.ts";

/** Everything of ours lies below this, out of the way of b10-transfer's files and of its clean-up. */
export const nativeDirName = "native";

export const formatFileName = "format.json";

const generationDigits = String(maxGenerationNumber).length;

export interface KeyDirs {
  readonly key: string;
  readonly generations: string;
  readonly layers: string;
  readonly incoming: string;
  /** Its modification time is when the cache was last used. */
  readonly used: string;
}

export function keyDirs(nativeDir: string, key: CacheKey): KeyDirs {
  const dir = `${nativeDir}/${key}`;
  return {
    key: dir,
    generations: `${dir}/generations`,
    layers: `${dir}/layers`,
    incoming: `${dir}/incoming`,
    used: `${dir}/used`,
  };
}

export function generationFileName(n: number): string {
  return `${String(n).padStart(generationDigits, "0")}.json`;
}

/** The number that a file below generations/ stands for, or undefined where it is not a generation file. */
export function generationNumberOf(fileName: string): number | undefined {
  const n = /^\d+\.json$/.test(fileName) ? Number.parseInt(fileName, 10) : 0;
  return n > 0 && n <= maxGenerationNumber && generationFileName(n) === fileName ? n : undefined;
}
