/**
 * Plays nine pods of one model with a real compile cache: pod 1 saves, pods 2 to 9 load at once, then a load and a
 * save that have nothing to do. Exits non-zero unless every pod ends up with exactly what pod 1 has.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { unpackFixture } from "../tests/fixture.ts";
import { expectStatus, makeFastDir, operate, type Outcome } from "./program.ts";
import { differences, takeSnapshot } from "./snapshot.ts";
import { formatTable, megabytes, seconds } from "./table.ts";

const firstPod = 1;
const otherPods = [2, 3, 4, 5, 6, 7, 8, 9];

interface Step {
  readonly pod: number;
  readonly outcome: Outcome;
}

/** One pod's settings: directories of its own, one share. */
function settingsOf(base: string, pod: number): Record<string, string> {
  return {
    HOME: path.join(base, `pod-${pod}`, "home"),
    TORCHINDUCTOR_CACHE_DIR: torchDir(base, pod),
    LOCAL_WORK_DIR: path.join(base, `pod-${pod}`, "work"),
    B10FS_CACHE_DIR: path.join(base, "share", "compile_cache"),
    B10_CACHE_ALLOWED_PREFIXES: base,
  };
}

function torchDir(base: string, pod: number): string {
  return path.join(base, `pod-${pod}`, "torchinductor");
}

/** The fixture with odd modes and fractions of seconds, so that keeping them shows. */
async function fillFirstPod(base: string): Promise<void> {
  const dir = torchDir(base, firstPod);
  await unpackFixture(dir);
  fs.readdirSync(dir, { recursive: true, encoding: "utf8" }).map((name) => path.join(dir, name))
    .filter((file) => fs.statSync(file).isFile())
    .forEach((file, index) => {
      const mtimeS = fs.statSync(file).mtimeMs / 1000 + (index + 1) / 1024;
      fs.utimesSync(file, mtimeS, mtimeS);
      fs.chmodSync(file, [0o644, 0o600, 0o755][index % 3] ?? 0o644);
    });
}

async function play(base: string): Promise<Step[]> {
  const step = async (
    operation: "load" | "save",
    pod: number,
    expected: Outcome["status"],
  ): Promise<Step> => {
    const outcome = await operate(operation, settingsOf(base, pod));
    expectStatus(outcome, expected);
    return { pod, outcome };
  };
  const saved = await step("save", firstPod, "SUCCESS");
  const loaded = await Promise.all(otherPods.map((pod) => step("load", pod, "SUCCESS")));
  const again = [await step("load", 2, "SKIPPED"), await step("save", firstPod, "SKIPPED")];
  return [saved, ...loaded, ...again];
}

function compareTrees(base: string): void {
  const expected = takeSnapshot(torchDir(base, firstPod));
  for (const pod of otherPods) {
    const [first, ...more] = differences(expected, takeSnapshot(torchDir(base, pod)));
    if (first) {
      throw new Error(`Pod ${pod} differs from pod ${firstPod} in ${more.length + 1} files, as ${first}`);
    }
  }
  console.log(
    `\nPods 2 to 9 loaded at once, and each has the ${expected.size} files of pod ${firstPod}: ` +
      "same content, same modes, same modification times to the nanosecond.",
  );
}

function printTable(steps: readonly Step[]): void {
  const rows = steps.map(({ pod, outcome }) => [
    `pod ${pod}`,
    outcome.operation,
    outcome.status,
    String(outcome.files),
    megabytes(outcome.bytes),
    megabytes(outcome.stored_bytes),
    seconds(outcome.processMs),
  ]);
  console.log(formatTable(["", "operation", "status", "files", "size", "stored", "seconds"], rows));
}

const base = makeFastDir("b10-demo");
try {
  fs.mkdirSync(path.join(base, "share"));
  await fillFirstPod(base);
  console.log("A real torch.compile cache from an H100, one share, nine pods:\n");
  printTable(await play(base));
  compareTrees(base);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  fs.rmSync(base, { recursive: true });
}
