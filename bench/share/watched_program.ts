/**
 * The program, but for its file system, of which every operation at or below B10_BENCH_SHARE is told in a line on stderr
 * and waits B10_BENCH_LATENCY_MS. Written at once, as the program starts itself anew inside its fence.
 */
import * as fs from "node:fs";
import process from "node:process";
import { runProgram } from "../../lib/program.ts";
import { realSystem } from "../../lib/system/real.ts";
import { watchedFiles } from "./watched_files.ts";

const stderr = 2;
const system = realSystem();
const watch = {
  dir: system.env["B10_BENCH_SHARE"] ?? "",
  latencyMs: Number(system.env["B10_BENCH_LATENCY_MS"] ?? 0),
  onCall: (call: unknown) => void fs.writeSync(stderr, `${JSON.stringify(call)}\n`),
};
void runProgram({ ...system, fs: watchedFiles(system.fs, watch) }).then((status) => process.exit(status));
