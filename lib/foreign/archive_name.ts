/** What b10-transfer calls its archives, at the top of B10FS_CACHE_DIR. Pure. */
import type { ForeignKey } from "./key.ts";

/** For people and for JSON. */
export const foreignProgram = "b10-transfer" as const;

const archiveNamePattern = /^cache_([0-9a-f]{16})\.latest\.tar\.gz$/;

/** "cache_436c59e667a63097.latest.tar.gz" */
export function archiveName(key: ForeignKey): string {
  return `cache_${key}.latest.tar.gz`;
}

/** The key that an archive's name holds; undefined for any other file. */
export function archiveKey(name: string): ForeignKey | undefined {
  return archiveNamePattern.exec(name)?.[1] as ForeignKey | undefined;
}
