/**
 * Restored files are staged inside their target, so that placing them copies nothing, and become visible whole:
 * a directory that the target lacks by one rename, any other file by a link, which never replaces what is there.
 */
import { sweepUnfinished } from "./cleanup.ts";
import { directoryOf } from "./entry_path.ts";
import { errnoOf } from "./errors.ts";
import { FileBatches } from "./file_batches.ts";
import { localError } from "./local_error.ts";
import { removeTree } from "./remove_tree.ts";
import { isIndexLike, isStagingName, stagingName } from "./roots.ts";
import type { FileKind, FileStat, FileSystem, FileVersion, System } from "./system.ts";
import { quote } from "./text.ts";

/** Nobody else looks into a staging directory. */
const stagingMode = 0o700;

/** In bytes: to wake a thread takes about as long as to write this much. Some 4 % of the files, and most of the bytes. */
const worthAnotherThread = 128 * 1024;

/** Small files of which the main thread creates the first by itself: to start others takes as long, and most caches have fewer. */
const worthThreads = 1000;

type StagingWorld = Pick<System, "disk" | "random"> & Partial<Pick<System, "writerThreads">>;

export interface StagedFile {
  /** Below the root. */
  readonly path: string;
  readonly mode: number;
  readonly mtimeNs: bigint;
}

/**
 * Removes the staging directories that killed loads left in a root; where there are none nothing is written. Best
 * effort: whatever stays is for the next load or save.
 * @param maxAgeMs what is older than this belongs to no load that is still alive.
 */
export async function sweepStagings(
  { disk, random }: Pick<System, "disk" | "random">,
  target: string,
  maxAgeMs: number,
): Promise<void> {
  try {
    if (!(await disk.list(target)).some(({ name }) => isStagingName(name))) return;
    const fresh = `${target}/${stagingName(random.hex(16))}`;
    await disk.mkdir(fresh, stagingMode);
    try {
      await sweepUnfinished(disk, {
        dir: target,
        isUnfinished: isStagingName,
        fresh,
        maxAgeMs,
        awayName: () => stagingName(random.hex(16)),
      });
    } finally {
      await disk.rmdir(fresh);
    }
  } catch {
    // It is never saved, and never taken for cache content.
  }
}

/** Files on their way into one root. What has not been placed is gone once disposed of. */
export class Staging implements AsyncDisposable {
  readonly #disk: FileSystem;
  readonly #target: string;
  readonly #dir: string;
  readonly #directoryMode: number;
  readonly #made = new Set<string>([""]);
  /** Files of one directory mostly follow one another. */
  #lastMade = "";
  /** Directories with index-like files in or below them. */
  readonly #holdIndexLike = new Set<string>();
  readonly #written = new Map<string, FileVersion>();
  /** Directories that were placed by one rename, and of those below them each that was asked for. */
  readonly #placedWhole = new Set<string>();
  readonly #batches: FileBatches | undefined;
  #smallFiles = 0;

  private constructor(
    { disk, writerThreads }: StagingWorld,
    place: { target: string; dir: string; directoryMode: number },
  ) {
    this.#disk = disk;
    this.#target = place.target;
    this.#dir = place.dir;
    this.#directoryMode = place.directoryMode;
    this.#batches = writerThreads &&
      new FileBatches(writerThreads, (path, version) => void this.#written.set(path, version));
  }

  /** @param target the root, which is there. @throws {CacheError} `local_io` */
  static async create(world: StagingWorld, target: string): Promise<Staging> {
    const { disk, random } = world;
    const dir = `${target}/${stagingName(random.hex(16))}`;
    try {
      const { mode } = await disk.stat(target);
      await disk.mkdir(dir, stagingMode);
      // Restored directories follow the root: whoever may read that may read them, and none is open to all.
      return new Staging(world, { target, dir, directoryMode: (mode & 0o775) | 0o700 });
    } catch (error) {
      throw localError("stage files in", target, error);
    }
  }

  /** Where the files lie until they are placed. */
  get dir(): string {
    return this.#dir;
  }

  /** @throws {CacheError} `local_io`, `no_space` */
  write(file: StagedFile, content: Uint8Array): void {
    const place = this.#prepare(file);
    try {
      this.#written.set(file.path, this.#disk.createFileSync(place, content, file));
    } catch (error) {
      throw localError("write", place, error);
    }
  }

  /**
   * As `write`, on another thread where there is much to write, or where there are many files.
   * @returns in the first case a promise until which `content` must stay as it is. What fails may come to light as late
   * as when all is placed.
   */
  writeSoon(file: StagedFile, content: Uint8Array): Promise<void> | undefined {
    if (content.length >= worthAnotherThread) {
      return this.#writeElsewhere(file, content, this.#prepare(file));
    }
    this.#smallFiles++;
    const { path, mode, mtimeNs } = file;
    const isTaken = this.#batches && this.#smallFiles > worthThreads &&
      this.#batches.take({ path, place: this.#prepare(file), mode, mtimeNs }, content);
    if (!isTaken) this.write(file, content);
    return undefined;
  }

  async #writeElsewhere(file: StagedFile, content: Uint8Array, place: string): Promise<void> {
    try {
      this.#written.set(file.path, await this.#disk.createFile(place, content, file));
    } catch (error) {
      throw localError("write", place, error);
    }
  }

  /**
   * What a file is since it was written, where it was placed with its whole directory: that changes nothing of it.
   * @returns undefined for any other: a link changes the time of change, and what is there already wins.
   */
  versionOf(path: string): FileVersion | undefined {
    return this.#isPlacedWhole(directoryOf(path)) ? this.#written.get(path) : undefined;
  }

  #isPlacedWhole(directory: string): boolean {
    if (directory === "") return false;
    if (this.#placedWhole.has(directory)) return true;
    const isWhole = this.#isPlacedWhole(directoryOf(directory));
    if (isWhole) this.#placedWhole.add(directory);
    return isWhole;
  }

  /** Makes the directory of the file. @returns the file's place. */
  #prepare({ path }: StagedFile): string {
    const place = `${this.#dir}/${path}`;
    try {
      const directory = directoryOf(path);
      if (directory !== this.#lastMade) this.#makeDirectory(directory);
      this.#lastMade = directory;
      if (isIndexLike(nameOf(path))) this.#noteIndexLike(directory);
      return place;
    } catch (error) {
      throw localError("write", place, error);
    }
  }

  /**
   * Makes everything visible: whole directories, then single files; after these the directories that hold index-like
   * files, and index-like files themselves at the very end, so that what they promise is there.
   * @returns what was left out, as the target has something else in that place.
   */
  async place(): Promise<string[]> {
    const rest: Rest = { files: [], directories: [], notices: [] };
    await this.#batches?.settle();
    try {
      await this.#placeBelow({ from: this.#dir, to: this.#target, path: "" }, rest);
      await this.#placeFiles(rest, (move) => !isIndexLike(nameOf(move.path)));
      for (const move of rest.directories) await this.#placeDirectory(move, rest);
      await this.#placeFiles(rest, (move) => !isIndexLike(nameOf(move.path)));
      await this.#placeFiles(rest, () => true);
      return rest.notices;
    } catch (error) {
      throw localError("place files in", this.#target, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // What is still written would lie there again.
      await this.#batches?.settle();
    } catch {
      // Whoever placed it was told.
    }
    try {
      await removeTree(this.#disk, this.#dir);
    } catch {
      // Its name says what it is: it is never saved, and a later load sweeps it.
    }
  }

  #makeDirectory(path: string): void {
    if (this.#made.has(path)) return;
    this.#makeDirectory(directoryOf(path));
    this.#disk.createDirectorySync(`${this.#dir}/${path}`, this.#directoryMode);
    this.#made.add(path);
  }

  #noteIndexLike(directory: string): void {
    if (directory === "" || this.#holdIndexLike.has(directory)) return;
    this.#holdIndexLike.add(directory);
    this.#noteIndexLike(directoryOf(directory));
  }

  async #placeBelow(within: Move, rest: Rest): Promise<void> {
    for (const { name, kind } of await this.#disk.list(within.from)) {
      const move = {
        from: `${within.from}/${name}`,
        to: `${within.to}/${name}`,
        path: within.path === "" ? name : `${within.path}/${name}`,
      };
      if (kind !== "directory") rest.files.push(move);
      else if (await this.#kindAt(move.to) !== undefined) await this.#merge(move, rest);
      else if (this.#holdIndexLike.has(move.path)) rest.directories.push(move);
      else await this.#placeDirectory(move, rest);
    }
  }

  /** By one rename, unless by now there is something. */
  async #placeDirectory(move: Move, rest: Rest): Promise<void> {
    const moved = await this.#disk.lstat(move.from);
    try {
      await this.#disk.rename(move.from, move.to);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== "ENOTEMPTY" && errno !== "EEXIST" && errno !== "ENOTDIR") throw error;
      return await this.#merge(move, rest);
    }
    if (await this.#isInPlace(move)) return void this.#placedWhole.add(move.path);
    await this.#takeBack({ move, moved, undo: () => this.#disk.rename(move.to, move.from) }, rest);
  }

  /** Fills a directory that the target has: even an empty one stays what it is. */
  async #merge(move: Move, rest: Rest): Promise<void> {
    // A symlink in this place may lead anywhere: nothing is written through one.
    if (await this.#kindAt(move.to) === "directory") return await this.#placeBelow(move, rest);
    rest.notices.push(`${quote(move.to)} is no directory, so what belongs below it is left out`);
  }

  async #kindAt(path: string): Promise<FileKind | undefined> {
    return (await ifThere(() => this.#disk.lstat(path)))?.kind;
  }

  async #placeFiles(rest: Rest, isDue: (move: Move) => boolean): Promise<void> {
    const due = rest.files.filter(isDue);
    rest.files = rest.files.filter((move) => !due.includes(move));
    for (const move of due) await this.#placeFile(move, rest);
  }

  async #placeFile(move: Move, rest: Rest): Promise<void> {
    const moved = await this.#disk.lstat(move.from);
    try {
      await this.#disk.link(move.from, move.to);
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return;
      throw error;
    }
    if (await this.#isInPlace(move)) return;
    await this.#takeBack({ move, moved, undo: () => this.#disk.unlink(move.to) }, rest);
  }

  /** A directory on the way may have become a symlink between the look at it and the call that went through it. */
  async #isInPlace({ to, path }: Move): Promise<boolean> {
    if (!path.includes("/")) return true;
    const directory = directoryOf(to);
    return await ifThere(() => this.#disk.realPath(directory)) === directory;
  }

  /** Undoes what went out of the target, if what lies there is still what was put there. */
  async #takeBack({ move, moved, undo }: Stray, rest: Rest): Promise<void> {
    rest.notices.push(`${quote(move.to)} is left out as a directory above it has become a symlink`);
    const there = await ifThere(() => this.#disk.lstat(move.to));
    if (there?.ino === moved.ino && there.dev === moved.dev) await undo();
  }
}

/** Something that was placed through a symlink. */
interface Stray {
  readonly move: Move;
  readonly moved: FileStat;
  readonly undo: () => Promise<void>;
}

async function ifThere<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

interface Move {
  readonly from: string;
  readonly to: string;
  /** Below the root. */
  readonly path: string;
}

/** What is still to be placed, and what was left out. */
interface Rest {
  files: Move[];
  readonly directories: Move[];
  readonly notices: string[];
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
