/** Threads that create files beside the main one, on a runtime where that pays: docs/performance.md has the measurements. */
import process from "node:process";
import { unpackVersions } from "../file_versions.ts";
import type { FileBatch, FileVersion, Runtime, WriterThreads } from "../system.ts";
import { bun } from "./bun.ts";
import { describeRuntime } from "./runtime.ts";
import type { BatchAnswer } from "./batch_answer.ts";

/** One more is as good as idle: the main thread cuts the files out of their frames for all. */
const maxThreads = 3;

/** One that is being written, and one that waits: what is more is done sooner by the main thread itself. */
const batchesEach = 2;

/** @returns undefined where there is no core for another thread. */
export function realWriterThreads({ cores }: Pick<Runtime, "cores">): WriterThreads | undefined {
  const count = Math.min(cores - 1, maxThreads);
  return bun && count > 0 ? writerThreads(count) : undefined;
}

/** @param count at most so many; each starts when those before it have enough to do. */
export function writerThreads(count: number): WriterThreads {
  const threads: WriterThread[] = [];
  const free = () => threads.find((thread) => thread.isFree);
  return {
    get isFree() {
      return threads.length < count || free() !== undefined;
    },
    createFiles: (batch) => {
      let thread = free();
      // As late as this, so that what has no need of it does not pay for it; and inside the fence, if there is one.
      if (!thread && threads.length < count) threads.push(thread = new WriterThread());
      thread ??= threads[0];
      return thread ? thread.createFiles(batch) : Promise.reject(new Error("There is no thread to write"));
    },
  };
}

/** Its place in the repository: the binary has it under that name. */
const threadPath = "lib/system/writer_thread.ts";

function startThread(done: Int32Array) {
  // Loaded by the first who needs it: that takes 1.5 ms, and most loads have no need of it.
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const source = describeRuntime().compiled
    ? `./${threadPath}`
    : new URL(`../../${threadPath}`, import.meta.url);
  return new Worker(source, { workerData: done });
}

interface Waiting {
  readonly resolve: (versions: readonly FileVersion[]) => void;
  readonly reject: (error: Error) => void;
}

class WriterThread {
  readonly #done = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #worker = startThread(this.#done);
  readonly #waiting: Waiting[] = [];
  #begun = 0;

  constructor() {
    this.#worker.on("message", (answer: BatchAnswer) => this.#settle(answer));
    this.#worker.on("error", (error: Error) => this.#fail(error));
    this.#worker.on("exit", () => this.#fail(new Error("a thread that writes files ended")));
    this.#worker.unref();
  }

  get isFree(): boolean {
    return this.#begun - Atomics.load(this.#done, 0) < batchesEach;
  }

  createFiles(batch: FileBatch): Promise<readonly FileVersion[]> {
    this.#begun++;
    this.#worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(batch, [batch.bytes.buffer]);
    });
  }

  /** Batches are done in the order in which they came. */
  #settle(answer: BatchAnswer): void {
    const waiting = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#worker.unref();
    if ("versions" in answer) return waiting?.resolve(unpackVersions(answer.versions));
    const { message, ...about } = answer.failure;
    waiting?.reject(Object.assign(new Error(message), about));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
