/** compress.ts: a tree's files are compressed and dropped; see compressJob. */
import process from "node:process";
import { compress } from "../compression.ts";
import { compressJob } from "../jobs.ts";
import { framesOf } from "../stream.ts";
import { readJob } from "./job.ts";

const job = readJob(compressJob);
let storedBytes = 0;
let wallMs = 0;
let cpuMs = 0;
for (const frame of framesOf(job.tree, job)) {
  // Reading the files is not what is measured.
  const startMs = performance.now();
  const before = process.cpuUsage();
  storedBytes += compress(frame, job).length;
  const { user, system } = process.cpuUsage(before);
  cpuMs += (user + system) / 1000;
  wallMs += performance.now() - startMs;
}
console.log(JSON.stringify({ storedBytes, wallMs, cpuMs }));
