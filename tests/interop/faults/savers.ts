/** Our savers, stopped at the worst moment, and what is in the store afterwards. */
import * as fs from "node:fs";
import process from "node:process";
import { type Pod, type Run, type Stage, statusOf } from "./stage.ts";
import { countWhole, inWords, writeTree } from "./trees.ts";
import { waitFor } from "./wait.ts";

const tries = 5;

/** So much takes a moment to pack. */
const bytes = 30_000_000;

export interface StoppedSaver {
  readonly pid: number;
  readonly ended: Promise<Run>;
}

/**
 * A saver that got SIGSTOP while its layer was being written into the store, in the lease of the key.
 * @throws {Error} where it was too fast each time
 */
export async function saverStoppedAtPacking(stage: Stage, pod: Pod): Promise<StoppedSaver> {
  writeTree(pod.torchDir, { "large.so": bytes, "small.so": 1000 });
  for (let tried = 0; tried < tries; tried++) {
    let pid = 0;
    let hasEnded = false;
    const ended = stage.ours(pod, ["save"], { onStart: (started) => pid = started }).finally(() =>
      hasEnded = true
    );
    await waitFor(
      () => hasEnded || stage.storeFiles("/layers/").length > 0 || isPacking(stage),
      "a save to pack",
    );
    if (!hasEnded) process.kill(pid, "SIGSTOP");
    if (!hasEnded && isPacking(stage) && generations(stage) === 0) return { pid, ended };
    if (!hasEnded) process.kill(pid, "SIGCONT");
    await ended;
    fs.rmSync(stage.storeDir, { recursive: true });
    fs.mkdirSync(stage.storeDir);
  }
  throw new Error(`Could not stop a save while it packs, in ${tries} tries`);
}

function isPacking(stage: Stage): boolean {
  return stage.storeFiles("/incoming/").some((file) =>
    !file.includes("/leases/") && (fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0
  );
}

function generations(stage: Stage): number {
  return stage.storeFiles("/generations/").length;
}

/** Verifies the store, and loads into a fresh pod: all files of these pods must be there. */
export async function loadFresh(
  stage: Stage,
  pods: readonly Pod[],
): Promise<{ holds: boolean; words: string }> {
  const fresh = stage.pod("fresh");
  const verified = await stage.ours(fresh, ["verify"]);
  const loaded = await stage.ours(fresh, ["load"]);
  const counts = pods.map((pod) => countWhole(pod.torchDir, fresh.torchDir));
  const sum = {
    whole: counts.reduce((sum, { whole }) => sum + whole, 0),
    of: counts.reduce((sum, { of }) => sum + of, 0),
  };
  return {
    holds: verified.code === 0 && loaded.result?.status === "SUCCESS" && sum.whole === sum.of,
    words: `verify ${statusOf(verified)}, a fresh load ${statusOf(loaded)} with ${inWords(sum)}`,
  };
}
