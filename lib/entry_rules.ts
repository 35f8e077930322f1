/**
 * The rules that whatever is restored must follow, be it a layer of the store or an archive of b10-transfer: one plan,
 * checked whole before a byte is written. What a single path may look like stands in entry_path.ts. Pure.
 */
import { directoryOf } from "./entry_path.ts";
import { CacheError } from "./errors.ts";
import { quote } from "./text.ts";

const mib = 1024 * 1024;

/** A file is in memory as a whole while it is saved and while it is restored. */
export const maxFileBytes = 256 * mib;

/** Files and the directories that they need, together: each costs memory here and an inode on the pod. */
export const maxEntries = 200_000;

/** A few megabytes of zeros are no bomb. */
const alwaysAllowedRawBytes = 64 * mib;

/**
 * What `storedBytes` may decode to at most: more is made to fill disks.
 * @param ratio how often their size is allowed.
 */
export function maxRawBytes(storedBytes: number, ratio: number): number {
  return Math.max(alwaysAllowedRawBytes, ratio * storedBytes);
}

/** That there is more of it, in words that follow "as". */
export function decodesToMore(most: number): string {
  return `it decodes to more than the ${most} bytes that it may`;
}

/** The permission bits that a file gets on this pod: nobody may write to it but its owner and group. */
export function restoredMode(mode: number): number {
  return mode & 0o775;
}

/** Long enough for every honest path. */
const shownCharacters = 400;

/** As `quote`, and not longer than a person reads: a hostile name may have megabytes. */
export function quoteShort(name: string): string {
  if (name.length <= shownCharacters) return quote(name);
  return `${quote(name.slice(0, shownCharacters))}… (${name.length} characters)`;
}

/** One path's file cannot be another's directory. */
export interface PathConflict {
  readonly file: string;
  readonly below: string;
}

/** Every path of the set, or of a map's keys, that lies below another one, with the nearest such. */
export function pathConflicts(paths: Pick<ReadonlyMap<string, unknown>, "has" | "keys">): PathConflict[] {
  /** By directory: the file of the set that it is, or lies below, if any. */
  const known = new Map<string, string | undefined>();
  const fileAbove = (path: string): string | undefined => {
    const slash = path.lastIndexOf("/");
    if (slash <= 0) return undefined;
    const directory = path.slice(0, slash);
    if (!known.has(directory)) known.set(directory, paths.has(directory) ? directory : fileAbove(directory));
    return known.get(directory);
  };
  const conflicts: PathConflict[] = [];
  for (const below of paths.keys()) {
    const file = fileAbove(below);
    if (file !== undefined) conflicts.push({ file, below });
  }
  return conflicts;
}

/** How a conflict is told, in words that follow "as". */
export function describeConflict({ file, below }: PathConflict): string {
  return `${quoteShort(file)} is a file in it, and ${quoteShort(below)} lies below that`;
}

/**
 * Every directory above `files`, each once.
 * @param known directories with all above them, that are there besides.
 * @returns undefined where files and directories are more than `maxEntries`; it stops counting there.
 */
export function directoriesAbove(
  files: Iterable<string>,
  known: ReadonlySet<string> = new Set(),
): ReadonlySet<string> | undefined {
  const directories = new Set(known);
  let count = 0;
  let nearest = "";
  for (const file of files) {
    count++;
    const directory = directoryOf(file);
    // Files of one directory mostly follow one another.
    if (directory !== nearest) addDirectory(directories, directory);
    nearest = directory;
    if (count + directories.size > maxEntries) return undefined;
  }
  return directories;
}

/** Adds a directory with all above it. */
export function addDirectory(directories: Set<string>, path: string): void {
  for (let above = path; above !== "" && !directories.has(above); above = directoryOf(above)) {
    directories.add(above);
  }
}

/** In words that follow "as". */
export const tooMany = `it has more than ${maxEntries} files and directories`;

/** For what a pod has itself: it is left out of a save rather than refused by every load. */
export function fileSizeProblem(size: number): string | undefined {
  return size > maxFileBytes ? `have at most ${maxFileBytes} bytes` : undefined;
}

/** The decoded bytes of indexes that are kept in memory at once. */
export class MemoryBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws {CacheError} `bad_index` once more was taken than there is. */
  take(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.#maxBytes) return;
    throw new CacheError(
      "bad_index",
      `Cannot use this cache as its indexes decode to more than ${this.#maxBytes} bytes together`,
    );
  }
}
