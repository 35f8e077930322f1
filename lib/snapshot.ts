/** What lies in a pod's caches at one moment, and what has changed between two. */
import type { CacheRoot } from "./roots.ts";
import type { FileStat, FileSystem } from "./system.ts";
import { walkTree } from "./tree.ts";

/** Cache content by path, `<root>/<path below it>`. */
export type Snapshot = ReadonlyMap<string, FileStat>;

/** @throws {CacheError} `local_io` */
export async function takeSnapshot(fs: FileSystem, roots: readonly CacheRoot[]): Promise<Snapshot> {
  const { files } = await walkTree(fs, roots);
  return new Map([...files].map(([path, { stat }]) => [path, stat]));
}

/** Files that `after` has and `before` had not, or not so: paths and sizes. */
export function changedSince(before: Snapshot, after: Snapshot): { path: string; size: number }[] {
  return [...after].flatMap(([path, stat]) => {
    const known = before.get(path);
    return known && isSameVersion(known, stat) ? [] : [{ path, size: stat.size }];
  });
}

/** No file came, went or was written. */
export function isUnchanged(before: Snapshot, after: Snapshot): boolean {
  return before.size === after.size && changedSince(before, after).length === 0;
}

function isSameVersion(a: FileStat, b: FileStat): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}
