/** b10-transfer's archives as they lie in a store, at the top of B10FS_CACHE_DIR. Nothing there is ever changed. */
import { exactFile } from "../store/exact_file.ts";
import { closedOnFailure, ifThere, modifiedMs, onShare, readOnShare } from "../store/share.ts";
import type { FileStat, FileSystem } from "../system.ts";
import type { Archive } from "./archive.ts";
import { archiveKey } from "./archive_name.ts";
import type { ForeignKey } from "./key.ts";
import { refuseArchive } from "./refusal.ts";

export interface StoredArchive {
  /** The name of its file. */
  readonly name: string;
  readonly key: ForeignKey;
  readonly bytes: number;
  /** By the clock of the share. */
  readonly madeMs: number;
}

/** Sorted by name; none where the store is not there yet. @throws {CacheError} `store_io` */
export async function listArchives(fs: FileSystem, storeDir: string): Promise<StoredArchive[]> {
  const entries = await readOnShare("list", storeDir, () => ifThere(() => fs.list(storeDir))) ?? [];
  const names = [...new Set(entries.map((entry) => entry.name))].sort();
  const found = await Promise.all(names.map((name) => describeArchive(fs, storeDir, name)));
  return found.filter((archive) => archive !== undefined);
}

async function describeArchive(
  fs: FileSystem,
  storeDir: string,
  name: string,
): Promise<StoredArchive | undefined> {
  const key = archiveKey(name);
  if (key === undefined) return undefined;
  const path = `${storeDir}/${name}`;
  const stat = await readOnShare("look at", path, () => ifThere(() => fs.lstat(path)));
  if (stat?.kind !== "file") return undefined;
  return { name, key, bytes: stat.size, madeMs: modifiedMs(stat) };
}

/** @throws {CacheError} `store_io` */
export async function hasArchive(
  fs: FileSystem,
  { storeDir, name }: { storeDir: string; name: string },
): Promise<boolean> {
  return await describeArchive(fs, storeDir, name) !== undefined;
}

export interface OpenArchive extends Archive, AsyncDisposable {
  /** What was opened is no longer what has the name: b10-transfer replaces whole files. */
  isReplaced(): Promise<boolean>;
}

/**
 * Opens an archive without waiting for b10-transfer's locks: an open file stays what it is when another takes its name.
 * @returns undefined where there is none.
 * @throws {CacheError} `store_io`; `bad_archive` for what is no file, such as a FIFO, which would never answer.
 */
export async function openArchive(
  fs: FileSystem,
  { storeDir, name }: { storeDir: string; name: string },
): Promise<OpenArchive | undefined> {
  const path = `${storeDir}/${name}`;
  return await readOnShare("read", path, async () => {
    const there = await ifThere(() => fs.lstat(path));
    if (!there) return undefined;
    if (there.kind !== "file") refuseArchive(name, "it is not a regular file");
    const file = await ifThere(() => fs.open(path, "r"));
    if (!file) return undefined;
    const opened = await closedOnFailure(file, () => file.stat());
    const guard = <T>(step: () => Promise<T>) => onShare("read", path, step);
    const exact = exactFile(file, { path, bytes: opened.size, guard });
    return {
      name,
      file: exact,
      isReplaced: async () => {
        const now = await guard(() => ifThere(() => fs.lstat(path)));
        return now !== undefined && !isSame(now, opened);
      },
      [Symbol.asyncDispose]: () => exact[Symbol.asyncDispose](),
    };
  });
}

/** A copy that is still being written over has another time or size. */
function isSame(a: FileStat, b: FileStat): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.mtimeNs === b.mtimeNs;
}
