/** Reading files that others may be writing. */
import { errnoOf } from "./errors.ts";
import type { Allocate } from "./memory.ts";
import type { FileStat, FileSystem, OpenFile } from "./system.ts";
import type { LocalFile } from "./tree.ts";

/** How often a file that changes under the reader is read again before it is left for the next save. */
const attempts = 3;

export interface StableRead {
  readonly content: Uint8Array;
  /** The file's, the same before and after its bytes were read. */
  readonly stat: FileStat;
}

/** @returns undefined where the file is gone, may not be read by this user, or will not hold still. */
export async function readStable(
  fs: FileSystem,
  file: LocalFile,
  allocate: Allocate = (bytes) => new Uint8Array(bytes),
): Promise<StableRead | undefined> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      const read = await readOnce(fs, file, allocate);
      if (read) return read;
    } catch (error) {
      if (isOutOfReach(error)) return undefined;
      throw error;
    }
  }
  return undefined;
}

/** Gone, something else by now, or not for this user: no failure of the disk. */
function isOutOfReach(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "EACCES"].includes(errnoOf(error) ?? "");
}

async function readOnce(
  fs: FileSystem,
  file: LocalFile,
  allocate: Allocate,
): Promise<StableRead | undefined> {
  const handle = await fs.open(file.place, "r");
  try {
    const before = await handle.stat();
    if (before.kind !== "file" || !await isInPlace(fs, file, before)) return undefined;
    const content = await readAll(handle, allocate(before.size));
    const after = await handle.stat();
    return content && sameVersion(before, after) ? { content, stat: after } : undefined;
  } finally {
    await handle.close();
  }
}

/**
 * What was opened is what the walk saw, or lies in that place with no symlink on the way: a file or a directory may
 * have become one since, and what it leads to is no cache content.
 */
async function isInPlace(fs: FileSystem, file: LocalFile, opened: FileStat): Promise<boolean> {
  if (isSameFile(opened, file.stat)) return true;
  return await fs.realPath(file.place) === file.place && isSameFile(opened, await fs.lstat(file.place));
}

function isSameFile(a: FileStat, b: FileStat): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/** @returns undefined where the file is shorter than it was. */
async function readAll(handle: OpenFile, content: Uint8Array): Promise<Uint8Array | undefined> {
  for (let filled = 0; filled < content.length;) {
    const count = await handle.read(content.subarray(filled), filled);
    if (count === 0) return undefined;
    filled += count;
  }
  return content;
}

/** The same file with the same bytes, as far as its metadata tells: a write moves mtime and ctime. */
export function sameVersion(a: FileStat, b: FileStat): boolean {
  return a.kind === "file" && b.kind === "file" && isSameFile(a, b) && a.size === b.size &&
    a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

/** What lies in a file's place now is still the version of `stat`. */
export async function isStill(fs: FileSystem, file: LocalFile, stat: FileStat): Promise<boolean> {
  try {
    return sameVersion(await fs.lstat(file.place), stat);
  } catch (error) {
    if (isOutOfReach(error)) return false;
    throw error;
  }
}
