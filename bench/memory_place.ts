/**
 * A place in memory for everything that is measured. b10-transfer takes its share below /cache/model only; so as root a
 * benchmark is started anew in a mount namespace of its own, with a fresh tmpfs at /cache: whatever lies in /cache
 * outside is hidden, not touched, and the memory is free again as soon as the benchmark ends, however it ends.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import process from "node:process";
import { makeFastDir } from "../scripts/program.ts";

const cacheDir = "/cache";
const insideName = "B10_BENCH_INSIDE";
const mountAndRun = `mount -t tmpfs -o size=80% tmpfs ${cacheDir} && exec "$@"`;

export interface MemoryPlace extends Disposable {
  readonly base: string;
  /** It lies where b10-transfer takes its share. */
  readonly isBelowCache: boolean;
}

/**
 * The place, empty; the caller disposes of it. Where this process may make a namespace it does not return: the script
 * runs once more inside, and this process ends as that one does.
 */
export function enterMemoryPlace(): MemoryPlace {
  if (process.env[insideName]) {
    const base = `${cacheDir}/model/bench`;
    fs.mkdirSync(base, { recursive: true });
    return { base, isBelowCache: true, [Symbol.dispose]: () => {} };
  }
  if (process.getuid?.() === 0 && canUnshare()) process.exit(runInside());
  const base = makeFastDir("b10-bench");
  return {
    base,
    isBelowCache: false,
    [Symbol.dispose]: () => fs.rmSync(base, { recursive: true }),
  };
}

function canUnshare(): boolean {
  return spawnSync("unshare", ["--mount", "true"]).status === 0;
}

/** @returns the exit status of the script inside. */
function runInside(): number {
  const isNew = !fs.existsSync(cacheDir);
  if (isNew) fs.mkdirSync(cacheDir);
  try {
    const argv = [
      "--mount",
      "sh",
      "-c",
      mountAndRun,
      "sh",
      process.execPath,
      ...process.argv.slice(1),
    ];
    const { status } = spawnSync("unshare", argv, {
      stdio: "inherit",
      env: { ...process.env, [insideName]: "1" },
    });
    return status ?? 1;
  } finally {
    if (isNew) fs.rmdirSync(cacheDir);
  }
}
