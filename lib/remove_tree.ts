/** Removing a directory of this pod with all that is in it, never following a symlink. */
import { errnoOf } from "./errors.ts";
import type { DirectoryEntry, FileSystem } from "./system.ts";
import { quote } from "./text.ts";

/** After so many files it is looked again whether they are still removed where they were listed. */
const filesPerLook = 64;

/**
 * @param dir its real path.
 * @returns how many files were removed. What others remove meanwhile is no error.
 * @throws as `removeContents`.
 */
export async function removeTree(fs: FileSystem, dir: string): Promise<number> {
  const removed = await removeContents(fs, dir);
  await ignoreAbsent(() => fs.rmdir(dir));
  return removed;
}

/**
 * Empties a directory and leaves it standing.
 * @param dir its real path.
 * @param keep the name of a file in it that stays.
 * @throws where a directory has become a symlink since it was listed: what it leads to stays.
 */
export async function removeContents(
  fs: FileSystem,
  dir: string,
  { keep }: { keep?: string } = {},
): Promise<number> {
  const entries = await ignoreAbsent(() => fs.list(dir)) ?? [];
  // Directories last: emptying one takes time, in which this one may be replaced, and each of them is looked at anew.
  const directories = entries.filter(({ kind }) => kind === "directory");
  const files = entries.filter(({ kind, name }) => kind !== "directory" && name !== keep);
  const removed = await removeFiles(fs, dir, files);
  let below = 0;
  for (const { name } of directories) below += await removeTree(fs, `${dir}/${name}`);
  return removed + below;
}

async function removeFiles(fs: FileSystem, dir: string, files: readonly DirectoryEntry[]): Promise<number> {
  for (const [at, { name }] of files.entries()) {
    if (at % filesPerLook === 0) await requireInPlace(fs, dir);
    await ignoreAbsent(() => fs.unlink(`${dir}/${name}`));
  }
  return files.length;
}

/** It and all above it may have become a symlink: then its files' names mean another directory's. */
async function requireInPlace(fs: FileSystem, dir: string): Promise<void> {
  const real = await ignoreAbsent(() => fs.realPath(dir));
  if (real !== undefined && real !== dir) {
    throw new Error(`${quote(dir)} has become a symlink, and what it leads to is left alone`);
  }
}

async function ignoreAbsent<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
