/** A layer's files are written by worker threads, a frame by each in turn. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { type PlannedFile, unpackFrames } from "../../../lib/archive.ts";
import type { LayerSource } from "../../../lib/archive/unpack.ts";
import { type Part, partsOf } from "./parts.ts";
import type { TreeWriter } from "./tree_writer.ts";

/** Directories are made by this thread, so that no two make the same one. */
export async function restoreByWorkers(
  source: LayerSource,
  files: readonly PlannedFile[],
  { tree, count }: { tree: TreeWriter; count: number },
): Promise<void> {
  const workers = Array.from(
    { length: count },
    () => new Worker(new URL("write_worker.ts", import.meta.url)),
  );
  try {
    const underWay: Promise<void>[] = [];
    let turn = 0;
    for await (const { files: read, release } of unpackFrames(source, files)) {
      const worker = workers[turn++ % count];
      if (!worker) throw new Error(`Cannot write by ${count} worker threads as it must be at least one`);
      underWay.push(writeBy(worker, partsOf(read, (file) => tree.prepare(file))).then(release));
      // The oldest is the next one's whose turn it is.
      if (underWay.length === count) await underWay.shift();
    }
    await Promise.all(underWay);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** The memory of `parts` is the worker's from now on. */
async function writeBy(worker: Worker, parts: readonly Part[]): Promise<void> {
  const written = once(worker, "message");
  worker.postMessage(parts, parts.map(({ buffer }) => buffer));
  await written;
}
