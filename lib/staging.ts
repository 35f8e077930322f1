/**
 * Restored files are staged inside their target, so that placing them copies nothing, and become visible whole:
 * a directory that the target lacks by one rename, any other file by a link, which never replaces what is there.
 */
import { CacheError, errnoOf } from "./errors.ts";
import { removeTree } from "./remove_tree.ts";
import { isIndexLike, stagingPrefix } from "./roots.ts";
import type { FileSystem, Random } from "./system.ts";
import { localError } from "./local_error.ts";

/** Nobody else looks into a staging directory. */
const stagingMode = 0o700;

export interface StagedFile {
  /** Below the root. */
  readonly path: string;
  readonly mode: number;
  readonly mtimeNs: bigint;
}

/** Files on their way into one root. What has not been placed is gone once disposed of. */
export class Staging implements AsyncDisposable {
  readonly #fs: FileSystem;
  readonly #target: string;
  readonly #dir: string;
  readonly #directoryMode: number;
  readonly #made = new Set<string>([""]);

  private constructor(fs: FileSystem, place: { target: string; dir: string; directoryMode: number }) {
    this.#fs = fs;
    this.#target = place.target;
    this.#dir = place.dir;
    this.#directoryMode = place.directoryMode;
  }

  /** @param target the root, which is there. @throws {CacheError} `local_io` */
  static async create(world: { fs: FileSystem; random: Random }, target: string): Promise<Staging> {
    const dir = `${target}/${stagingPrefix}${world.random.hex(16)}`;
    try {
      const { mode } = await world.fs.stat(target);
      await world.fs.mkdir(dir, stagingMode);
      // Restored directories follow the root: whoever may read that may read them, and none is open to all.
      return new Staging(world.fs, { target, dir, directoryMode: (mode & 0o775) | 0o700 });
    } catch (error) {
      throw localError("stage files in", target, error);
    }
  }

  /** @throws {CacheError} `local_io`, `no_space` */
  write(file: StagedFile, content: Uint8Array): void {
    const place = `${this.#dir}/${file.path}`;
    try {
      this.#makeDirectory(parentOf(file.path));
      this.#fs.createFileSync(place, content, file);
    } catch (error) {
      throw localError("write", place, error);
    }
  }

  /**
   * Makes everything visible: whole directories first, then single files, index-like ones last.
   * @returns what was left out, as the target has something else in that place.
   */
  async place(): Promise<string[]> {
    const singles: Move[] = [];
    const notices: string[] = [];
    try {
      await this.#placeDirectories({ from: this.#dir, to: this.#target, name: "" }, singles, notices);
      const last = singles.filter((move) => isIndexLike(move.name));
      for (const move of [...singles.filter((move) => !isIndexLike(move.name)), ...last]) {
        await this.#placeFile(move);
      }
      return notices;
    } catch (error) {
      throw localError("place files in", this.#target, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await removeTree(this.#fs, this.#dir);
    } catch {
      // Its name says what it is: it is never saved, and a later load sweeps it.
    }
  }

  #makeDirectory(path: string): void {
    if (this.#made.has(path)) return;
    this.#makeDirectory(parentOf(path));
    this.#fs.createDirectorySync(`${this.#dir}/${path}`, this.#directoryMode);
    this.#made.add(path);
  }

  async #placeDirectories(within: Move, singles: Move[], notices: string[]): Promise<void> {
    for (const entry of await this.#fs.list(within.from)) {
      const move = {
        from: `${within.from}/${entry.name}`,
        to: `${within.to}/${entry.name}`,
        name: entry.name,
      };
      if (entry.kind !== "directory") {
        singles.push(move);
        continue;
      }
      switch (await this.#placeDirectory(move)) {
        case "placed":
          break;
        case "merge":
          await this.#placeDirectories(move, singles, notices);
          break;
        case "blocked":
          notices.push(`${JSON.stringify(move.to)} is no directory, so what belongs below it is left out`);
      }
    }
  }

  async #placeDirectory(move: Move): Promise<"placed" | "merge" | "blocked"> {
    try {
      await this.#fs.rename(move.from, move.to);
      return "placed";
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== "ENOTEMPTY" && errno !== "EEXIST" && errno !== "ENOTDIR") throw error;
    }
    // A symlink in this place may lead anywhere: nothing is ever written through one.
    return (await this.#fs.lstat(move.to)).kind === "directory" ? "merge" : "blocked";
  }

  async #placeFile(move: Move): Promise<void> {
    try {
      await this.#fs.link(move.from, move.to);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    await this.#fs.unlink(move.from);
  }
}

interface Move {
  readonly from: string;
  readonly to: string;
  readonly name: string;
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** @throws {CacheError} `no_space` where `dir` has less than `neededBytes` free. */
export async function requireSpace(fs: FileSystem, dir: string, neededBytes: number): Promise<void> {
  const free = await fs.freeBytes(dir);
  if (free >= neededBytes) return;
  throw new CacheError(
    "no_space",
    `Cannot restore into "${dir}" as ${neededBytes} bytes are needed there and ${free} are free`,
  );
}
