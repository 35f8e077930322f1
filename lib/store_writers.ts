/** A look at who can write to the store: at what is in it, and at what is above it. */
import type { CacheKey } from "./key.ts";
import { keyDirs, nativeDirName } from "./store/layout.ts";
import { type Accessed, accessNotices, writersOfAll } from "./store_access.ts";
import type { FileSystem, System } from "./system.ts";

/** What to say of a store that is there, of its permissions. Best effort. */
export async function storeNotices(system: System, dir: string): Promise<readonly string[]> {
  // The process that was outside has looked, and said it.
  if (system.sandbox.isInside) return [];
  const directories = await accessTo(system.fs, [...withParents(dir), `${dir}/${nativeDirName}`]);
  return accessNotices(dir, directories);
}

/** Who can write to the store that is in `dir`, for people; null where that cannot be told. */
export async function writersOfStore(
  { fs }: System,
  dir: string,
  key: CacheKey,
): Promise<string | null> {
  const native = `${dir}/${nativeDirName}`;
  const { generations, layers, incoming, marks, key: keyDir } = keyDirs(native, key);
  const [store] = await accessTo(fs, [dir]);
  const others = [...withParents(dir).slice(1), native, keyDir, generations, layers, incoming, marks];
  return store ? writersOfAll(store, await accessTo(fs, others)) : null;
}

/** Those that can be looked at, with their owners and modes. */
async function accessTo(fs: FileSystem, dirs: readonly string[]): Promise<Accessed[]> {
  const found = await Promise.all(dirs.map(async (dir) => {
    try {
      return [{ dir, ...await fs.stat(dir) }];
    } catch {
      return [];
    }
  }));
  return found.flat();
}

/** A directory, and those above it but for the root: whoever can write to one of these can replace it. */
function withParents(dir: string): string[] {
  return dir === "" || dir === "/" ? [] : [dir, ...withParents(dir.slice(0, dir.lastIndexOf("/")))];
}
