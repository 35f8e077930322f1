/** A cache's files as they lie on this pod. */
import { entryPathProblem } from "./entry_path.ts";
import { fileSizeProblem } from "./entry_rules.ts";
import { errnoOf } from "./errors.ts";
import { localError } from "./local_error.ts";
import { type CacheRoot, isLeftOutDirectory, isLeftOutFile } from "./roots.ts";
import type { FileStat, FileSystem } from "./system.ts";
import { quote } from "./text.ts";

export interface LocalFile {
  /** `<root>/<path below it>` */
  readonly path: string;
  /** Where it lies on this pod. */
  readonly place: string;
  readonly stat: FileStat;
}

export interface LocalTree {
  /** Cache content, by path. */
  readonly files: ReadonlyMap<string, LocalFile>;
  /** What lies there and is no cache content, and is worth a word: symlinks, devices, unusable names. */
  readonly notices: readonly string[];
}

/** How many file-system calls are under way at once while a tree is walked. */
const walkWidth = 16;

/**
 * Every file of the roots that is cache content. A root that is not there is empty; what disappears while the
 * walk is under way is left out.
 * @throws {CacheError} `local_io`
 */
export async function walkTree(fs: FileSystem, roots: readonly CacheRoot[]): Promise<LocalTree> {
  const files = new Map<string, LocalFile>();
  const notices: string[] = [];
  for (const root of roots) {
    await walkRoot(fs, root, (found) => {
      if (typeof found === "string") notices.push(found);
      else files.set(found.path, found);
    });
  }
  return { files, notices };
}

interface Place {
  readonly path: string;
  readonly place: string;
}

async function walkRoot(
  fs: FileSystem,
  root: CacheRoot,
  report: (found: LocalFile | string) => void,
): Promise<void> {
  const directories: Place[] = [{ path: root.name, place: root.dir }];
  for (
    let batch = directories.splice(0, walkWidth);
    batch.length > 0;
    batch = directories.splice(0, walkWidth)
  ) {
    const candidates: Place[] = [];
    for (const { directory, entries } of await Promise.all(batch.map((at) => listDirectory(fs, at)))) {
      if (!entries) {
        report(`${quote(directory.path)} is left out as this user may not read it`);
        continue;
      }
      for (const { name, kind } of entries) {
        const at = { path: `${directory.path}/${name}`, place: `${directory.place}/${name}` };
        if (kind === "directory") {
          if (!isLeftOutDirectory(name)) directories.push(at);
          continue;
        }
        if (isLeftOutFile(name)) continue;
        const problem = kind === "file" ? entryPathProblem(at.path) : "be a regular file";
        if (problem) report(`${quote(at.path)} is left out as it must ${problem}`);
        else candidates.push(at);
      }
    }
    for (let at = 0; at < candidates.length; at += walkWidth) {
      const found = await Promise.all(candidates.slice(at, at + walkWidth).map((c) => statFile(fs, c)));
      for (const file of found) if (file) report(file);
    }
  }
}

/**
 * @returns no entries at all where this user may not read the directory. A directory that has become a symlink since
 * its parent was listed has none either: nothing is followed out of the root, whose own path is a real one.
 */
async function listDirectory(fs: FileSystem, directory: Place) {
  try {
    const entries = await fs.list(directory.place);
    const isInPlace = await fs.realPath(directory.place) === directory.place;
    return { directory, entries: isInPlace ? entries : [] };
  } catch (error) {
    if (isGone(error)) return { directory, entries: [] };
    if (errnoOf(error) === "EACCES") return { directory };
    throw localError("list", directory.place, error);
  }
}

/** @returns a notice where this user may list the directory and not look at what is in it. */
async function statFile(fs: FileSystem, at: Place): Promise<LocalFile | string | undefined> {
  try {
    const stat = await fs.lstat(at.place);
    if (stat.kind !== "file") return undefined;
    const problem = fileSizeProblem(stat.size);
    return problem ? `${quote(at.path)} is left out as it must ${problem}` : { ...at, stat };
  } catch (error) {
    if (isGone(error)) return undefined;
    if (errnoOf(error) === "EACCES") return `${quote(at.path)} is left out as this user may not look at it`;
    throw localError("look at", at.place, error);
  }
}

function isGone(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "ENOENT" || errno === "ENOTDIR";
}
