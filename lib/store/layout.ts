/** Where things lie in a store on a file system. Pure. */
import type { CacheKey } from "../key.ts";
import { maxGenerationNumber } from "../manifest.ts";
import type { LeasePlace } from "../store.ts";

/** Everything of ours lies below this, out of the way of b10-transfer's files and of its clean-up. */
export const nativeDirName = "native";

export const formatFileName = "format.json";

/** Random bits in a name that is never used twice. */
export const nonceBytes = 16;

const generationDigits = String(maxGenerationNumber).length;

export interface KeyDirs {
  readonly key: string;
  readonly generations: string;
  readonly layers: string;
  readonly incoming: string;
  readonly marks: string;
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
    marks: `${dir}/marks`,
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

export function isMarkName(fileName: string): boolean {
  return /^[0-9a-f]{32}\.json$/.test(fileName);
}

/** Unfinished uploads, and what is on its way out: everything that this program puts below incoming/. */
export function isIncomingName(fileName: string): boolean {
  return /^[0-9a-f]{32}\./.test(fileName);
}

/** What a process that died while it made the store left beside format.json. */
export function isUnfinishedFormatName(fileName: string): boolean {
  return /^(\.probe-[0-9a-f]{32}\.[a-e]|format\.json\.(new|torn)-[0-9a-f]{32})$/.test(fileName);
}

/** The places of the whole store lie in one directory, beside the keys. */
export function leasesDir(nativeDir: string): string {
  return `${nativeDir}/leases`;
}

/** @returns the lease's file, and a directory of the same file system for what is on its way in or out. */
export function leasePaths(nativeDir: string, place: LeasePlace): { path: string; incoming: string } {
  switch (place.kind) {
    case "pack": {
      const { key, incoming } = keyDirs(nativeDir, place.key);
      return { path: `${key}/lease.json`, incoming };
    }
    case "save": {
      const dir = leasesDir(nativeDir);
      return {
        path: `${dir}/save-${String(place.number).padStart(2, "0")}.json`,
        incoming: `${dir}/incoming`,
      };
    }
  }
  return place satisfies never;
}
