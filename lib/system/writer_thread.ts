/** A thread that creates files: one batch of them for each message, in the order in which they come. */
import { parentPort, workerData } from "node:worker_threads";
import { errnoOf, messageOf } from "../errors.ts";
import { packVersions } from "../file_versions.ts";
import { release } from "../memory.ts";
import type { FileBatch, FileVersion } from "../system.ts";
import { realDisk } from "./disk.ts";
import type { BatchAnswer } from "./batch_answer.ts";

const disk = realDisk();
/** How many batches are done, for who cannot wait for the answer. */
const done: Int32Array = workerData;

function create({ places, bytes, sizes, modes, mtimesNs }: FileBatch): BatchAnswer {
  const versions: FileVersion[] = [];
  let offset = 0;
  for (const [at, place] of places.split("\0").entries()) {
    const size = sizes[at] ?? 0;
    const facts = { mode: modes[at] ?? 0, mtimeNs: mtimesNs[at] ?? 0n };
    try {
      versions.push(disk.createFileSync(place, bytes.subarray(offset, offset += size), facts));
    } catch (error) {
      const code = errnoOf(error);
      return { failure: { message: messageOf(error), place, ...(code === undefined ? {} : { code }) } };
    }
  }
  return { versions: packVersions(versions) };
}

parentPort?.on("message", (batch: FileBatch) => {
  const answer = create(batch);
  // At once: a collector would come too late where batches follow one another.
  release(batch.bytes);
  Atomics.add(done, 0, 1);
  parentPort?.postMessage(answer);
});
