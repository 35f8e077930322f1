/** Files of this pod that the user names: read in exact ranges, written whole or not at all. */
import { CacheError, errnoOf } from "./errors.ts";
import { localError } from "./local_error.ts";
import type { LayerFile } from "./store.ts";
import { exactFile } from "./store/exact_file.ts";
import { closedOnFailure, modesAfter } from "./store/share.ts";
import type { FileSystem, OpenFile, Random } from "./system.ts";
import { quote } from "./text.ts";

/** @throws {CacheError} `local_io`, also for what is no regular file. */
export async function openLocalFile(fs: FileSystem, path: string): Promise<LayerFile> {
  const guard = <T>(step: () => Promise<T>) => guarded("read", path, step);
  return await guard(async () => {
    const file = await fs.open(path, "r");
    const size = await closedOnFailure(file, async () => {
      const stat = await file.stat();
      if (stat.kind !== "file") throw notAFile(path);
      return stat.size;
    });
    return exactFile(file, { path, bytes: size, guard });
  });
}

function notAFile(path: string): CacheError {
  return new CacheError("local_io", `Cannot read ${quote(path)} on this pod as it is not a regular file`);
}

/** A file on its way to its name. Unless it is published it is gone once disposed of. */
export class NewFile implements AsyncDisposable {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #temporary: string;
  readonly #file: OpenFile;
  #isOpen = true;

  private constructor(fs: FileSystem, place: { path: string; temporary: string; file: OpenFile }) {
    this.#fs = fs;
    this.#path = place.path;
    this.#temporary = place.temporary;
    this.#file = place.file;
  }

  /**
   * Readable by whoever can read its directory. Its name until then is none that b10-transfer lists or sweeps.
   * @throws {CacheError} `local_io`
   */
  static async create({ fs, random }: { fs: FileSystem; random: Random }, path: string): Promise<NewFile> {
    const directory = path.slice(0, path.lastIndexOf("/")) || "/";
    const temporary = `${directory}/.b10-${random.hex(16)}.export`;
    return await guarded("write", path, async () => {
      const mode = modesAfter(await fs.stat(directory)).file;
      const file = await fs.open(temporary, "wx");
      const created = new NewFile(fs, { path, temporary, file });
      try {
        await file.chmod(mode);
        return created;
      } catch (error) {
        await created[Symbol.asyncDispose]();
        throw error;
      }
    });
  }

  /** @throws {CacheError} `local_io`, `no_space` */
  async append(bytes: Uint8Array): Promise<void> {
    await guarded("write", this.#path, () => this.#file.append(bytes));
  }

  /**
   * Gives it its name. @param replace whatever has the name already.
   * @throws {CacheError} `local_io` where the name is taken, unless `replace` allows that.
   */
  async publish({ replace }: { replace: boolean }): Promise<void> {
    await guarded("write", this.#path, async () => {
      await this.#file.sync();
      await this.#close();
      if (replace) await this.#fs.rename(this.#temporary, this.#path);
      else await this.#putIfAbsent();
    });
  }

  async #putIfAbsent(): Promise<void> {
    try {
      await this.#fs.link(this.#temporary, this.#path);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      throw new CacheError(
        "local_io",
        `Cannot write ${quote(this.#path)} as it is there already; --force replaces it`,
        { cause: error },
      );
    }
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([this.#close()]);
    await Promise.allSettled([this.#fs.unlink(this.#temporary)]);
  }
}

async function guarded<T>(action: string, path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw localError(action, path, error);
  }
}
