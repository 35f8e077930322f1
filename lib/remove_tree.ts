/** Removing a directory of this pod with all that is in it, never following a symlink. */
import { errnoOf } from "./errors.ts";
import type { FileSystem } from "./system.ts";

/** @returns how many files were removed. What others remove meanwhile is no error. */
export async function removeTree(fs: FileSystem, dir: string): Promise<number> {
  const removed = await removeContents(fs, dir);
  await ignoreAbsent(() => fs.rmdir(dir));
  return removed;
}

/** Empties a directory and leaves it standing. */
export async function removeContents(fs: FileSystem, dir: string): Promise<number> {
  const entries = await ignoreAbsent(() => fs.list(dir)) ?? [];
  let removed = 0;
  for (const entry of entries) {
    const path = `${dir}/${entry.name}`;
    if (entry.kind === "directory") removed += await removeTree(fs, path);
    else {
      await ignoreAbsent(() => fs.unlink(path));
      removed++;
    }
  }
  return removed;
}

async function ignoreAbsent<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
