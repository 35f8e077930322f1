/** Files below one directory, by the calls with which the program writes them. */
import { type PlannedFile, splitRoot } from "../../../lib/archive.ts";
import { FileBatches } from "../../../lib/file_batches.ts";
import { realDisk } from "../../../lib/system/disk.ts";
import { writerThreads } from "../../../lib/system/writer_threads.ts";

const directoryMode = 0o755;

export class TreeWriter {
  readonly #disk = realDisk();
  readonly #target: string;
  readonly #made = new Set<string>([""]);

  readonly #batches: FileBatches | undefined;

  /** @param target a directory, which is there. @param threads how many write beside the main one. */
  constructor(target: string, threads: number) {
    this.#target = target;
    if (threads > 0) {
      this.#batches = new FileBatches(writerThreads(threads), () => {});
    }
  }

  /** By synchronous calls. */
  write(file: PlannedFile, content: Uint8Array): void {
    this.#disk.createFileSync(this.prepare(file), content, factsOf(file));
  }

  /** By another thread of the runtime. `content` must stay as it is meanwhile. */
  async writeElsewhere(file: PlannedFile, content: Uint8Array): Promise<void> {
    await this.#disk.createFile(this.prepare(file), content, factsOf(file));
  }

  /** By whoever is free: small files by this thread and others, large ones by the runtime's. */
  writeSoon(
    file: PlannedFile,
    content: Uint8Array,
    { fromBytes }: { readonly fromBytes: number },
  ): Promise<void> | void {
    if (content.length >= fromBytes) return this.writeElsewhere(file, content);
    const about = {
      path: file.path,
      place: this.prepare(file),
      ...factsOf(file),
    };
    if (!this.#batches?.take(about, content)) this.write(file, content);
  }

  /** Returns once all is written. */
  async settle(): Promise<void> {
    await this.#batches?.settle();
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
