/** Files that other threads create: cut into batches, as each message to a thread costs as much as some files do. */
import { localError } from "./local_error.ts";
import type { FileBatch, FileVersion, WriterThreads } from "./system.ts";

/** A batch goes when it has so many files, or when there may be no room for another one. */
const filesEach = 256;
const bytesEach = 1024 * 1024;

export interface BatchedFile {
  readonly path: string;
  /** Where it is created. */
  readonly place: string;
  readonly mode: number;
  readonly mtimeNs: bigint;
}

export class FileBatches {
  readonly #threads: WriterThreads;
  readonly #onWritten: (path: string, version: FileVersion) => void;
  readonly #underWay: Promise<void>[] = [];
  #filling = new Filling();

  /** @param onWritten is told what each file is, some time before `settle` returns. */
  constructor(threads: WriterThreads, onWritten: (path: string, version: FileVersion) => void) {
    this.#threads = threads;
    this.#onWritten = onWritten;
  }

  /**
   * Copies the content: it is the caller's again.
   * @param content at most `bytesEach` bytes.
   * @returns whether it was taken. It is not where it is done sooner by the caller itself.
   */
  take(file: BatchedFile, content: Uint8Array): boolean {
    if (!this.#filling.hasRoom(content.length)) this.#send();
    if (this.#filling.isEmpty && !this.#threads.isFree) return false;
    this.#filling.add(file, content);
    return true;
  }

  /** Returns once all that was taken is written, or was given up. @throws {CacheError} `local_io`, `no_space` */
  async settle(): Promise<void> {
    this.#send();
    const settled = await Promise.allSettled(this.#underWay);
    for (const each of settled) if (each.status === "rejected") throw each.reason;
  }

  #send(): void {
    if (this.#filling.isEmpty) return;
    const { files } = this.#filling;
    const sending = this.#write(files, this.#filling.batch());
    this.#filling = new Filling();
    // It is awaited by settle(); until then a failure must not count as unhandled.
    sending.catch(() => {});
    this.#underWay.push(sending);
  }

  async #write(files: readonly BatchedFile[], batch: FileBatch): Promise<void> {
    try {
      const versions = await this.#threads.createFiles(batch);
      for (const [at, { path }] of files.entries()) {
        const version = versions[at];
        if (version) this.#onWritten(path, version);
      }
    } catch (error) {
      throw localError("write", failedPlace(error) ?? files[0]?.place ?? "", error);
    }
  }
}

/** A batch that is not whole yet. */
class Filling {
  readonly files: BatchedFile[] = [];
  /** Not cleared: what is not filled is never looked at. */
  readonly #bytes = Buffer.allocUnsafeSlow(bytesEach);
  readonly #sizes: number[] = [];
  #filled = 0;

  get isEmpty(): boolean {
    return this.files.length === 0;
  }

  hasRoom(bytes: number): boolean {
    return this.files.length < filesEach && this.#filled + bytes <= bytesEach;
  }

  add(file: BatchedFile, content: Uint8Array): void {
    this.#bytes.set(content, this.#filled);
    this.#filled += content.length;
    this.#sizes.push(content.length);
    this.files.push(file);
  }

  batch(): FileBatch {
    return {
      places: this.files.map(({ place }) => place).join("\0"),
      bytes: this.#bytes,
      sizes: new Uint32Array(this.#sizes),
      modes: new Uint16Array(this.files.map(({ mode }) => mode)),
      mtimesNs: new BigInt64Array(this.files.map(({ mtimeNs }) => mtimeNs)),
    };
  }
}

function failedPlace(error: unknown): string | undefined {
  const place: unknown = error instanceof Error ? Reflect.get(error, "place") : undefined;
  return typeof place === "string" ? place : undefined;
}
