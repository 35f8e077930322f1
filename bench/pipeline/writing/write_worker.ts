/** A worker thread: writes the files of every message, in the order they come, and answers when they are written. */
import { parentPort } from "node:worker_threads";
import { realDisk } from "../../../lib/system/disk.ts";
import { numbersEach, type Part } from "./parts.ts";

const disk = realDisk();

function writePart({ buffer, places, numbers, mtimesNs }: Part): void {
  for (const [at, place] of places.split("\0").entries()) {
    const [offset = 0, size = 0, mode = 0] = numbers.subarray(at * numbersEach, (at + 1) * numbersEach);
    disk.createFileSync(place, new Uint8Array(buffer, offset, size), { mode, mtimeNs: mtimesNs[at] ?? 0n });
  }
  // At once: a collector would come too late where frames follow one another.
  buffer.transfer(0);
}

parentPort?.on("message", (parts: readonly Part[]) => {
  for (const part of parts) writePart(part);
  parentPort?.postMessage("written");
});
