/** Files below one directory, by the calls with which the program writes them. */
import { type PlannedFile, splitRoot } from "../../../lib/archive.ts";
import { realDisk } from "../../../lib/system/disk.ts";

const directoryMode = 0o755;

export class TreeWriter {
  readonly #disk = realDisk();
  readonly #target: string;
  readonly #made = new Set<string>([""]);

  /** @param target a directory, which is there. */
  constructor(target: string) {
    this.#target = target;
  }

  /** By synchronous calls. */
  write(file: PlannedFile, content: Uint8Array): void {
    this.#disk.createFileSync(this.prepare(file), content, factsOf(file));
  }

  /** By another thread of the runtime. `content` must stay as it is meanwhile. */
  writeElsewhere(file: PlannedFile, content: Uint8Array): Promise<void> {
    return this.#disk.createFile(this.prepare(file), content, factsOf(file));
  }

  /** Makes the directory of the file. @returns the file's place. */
  prepare({ path }: PlannedFile): string {
    const [, below] = splitRoot(path);
    this.#makeDirectory(parentOf(below));
    return `${this.#target}/${below}`;
  }

  #makeDirectory(path: string): void {
    if (this.#made.has(path)) return;
    this.#makeDirectory(parentOf(path));
    this.#disk.createDirectorySync(`${this.#target}/${path}`, directoryMode);
    this.#made.add(path);
  }
}

function factsOf({ mode, mtime }: PlannedFile) {
  return { mode, mtimeNs: BigInt(mtime) };
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0));
}
