/** A killed extraction leaves a partial directory that later loads SKIP; a killed worker reports SUCCESS. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import type { Fault, Finding } from "./fault.ts";
import { descendantsOf } from "./processes.ts";
import { type Pod, type Stage, statusOf } from "./stage.ts";
import { countWhole, filesIn, inWords, isAll, type Share, writeTree } from "./trees.ts";
import { pause, waitFor } from "./wait.ts";

/** In the archive in this order: one that takes a while, between two small ones. */
const names = ["./1.so", "./2.so", "./3.so"];
const largeBytes = 120_000_000;
const largeRandomBytes = 40_000_000;

/** Our load is killed so long after its first write. */
const momentsMs = [0, 5, 10, 20, 40, 80];

async function peer(stage: Stage): Promise<Finding> {
  const saver = stage.pod("saver");
  const [key] = await stage.peerStatuses(saver, ["key"]);
  writeTree(saver.torchDir, { "1.so": 1000, "3.so": 1000 });
  // All zeros, so that it is quick to pack.
  fs.truncateSync(touch(path.join(saver.torchDir, "2.so")), largeBytes);
  const archive = path.join(stage.storeDir, `cache_${key}.latest.tar.gz`);
  execFileSync("tar", ["-czf", archive, "-C", saver.torchDir, ...names]);
  const killed = await killWholeLoad(stage, saver);
  const worker = await killWorker(stage, saver);
  return {
    holds: killed.later === "SKIPPED" && !isAll(killed.left) && worker.status === "SUCCESS" &&
      !isAll(worker.left),
    facts: [
      `SIGKILL of a load as it extracts: ${inWords(killed.left)} whole; the next load: ${killed.later}, ` +
      `${inWords(killed.after)}`,
      `SIGKILL of its worker alone: ${worker.status} with ${inWords(worker.left)}`,
    ],
  };
}

function touch(file: string): string {
  fs.writeFileSync(file, "");
  return file;
}

async function killWholeLoad(
  stage: Stage,
  saver: Pod,
): Promise<{ left: Share; later: string; after: Share }> {
  const pod = stage.pod("killed");
  const load = stage.startPeer(pod, ["load"]);
  await extracting(pod);
  load.kill();
  await load.ended();
  const left = countWhole(saver.torchDir, pod.torchDir);
  const [later = ""] = await stage.peerStatuses(pod, ["load"]);
  return { left, later, after: countWhole(saver.torchDir, pod.torchDir) };
}

/** The worker and the tar that it runs: running out of memory takes them all. */
async function killWorker(stage: Stage, saver: Pod): Promise<{ status: string; left: Share }> {
  const pod = stage.pod("worker-killed");
  const load = stage.startPeer(pod, ["load"]);
  await extracting(pod);
  for (const pid of descendantsOf(load.pid)) process.kill(pid, "SIGKILL");
  const [result] = (await load.results()).results;
  return { status: result?.status ?? "", left: countWhole(saver.torchDir, pod.torchDir) };
}

/** Waits for the large file. */
async function extracting(pod: Pod): Promise<void> {
  await waitFor(() => fs.existsSync(path.join(pod.torchDir, "2.so")), "tar to extract");
}

async function ours(stage: Stage): Promise<Finding> {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, { "1.so": 1000, "2.so": largeRandomBytes, "3.so": 1000 });
  const saved = await stage.ours(saver, ["save"]);
  const rounds = [];
  for (const [index, ms] of momentsMs.entries()) {
    rounds.push(await killOurLoad(stage, { saver, name: `pod-${index}`, ms }));
  }
  const kills = rounds.filter(({ wasKilled }) => wasKilled);
  return {
    holds: saved.result?.status === "SUCCESS" && kills.length > 0 && rounds.every(({ holds }) => holds),
    facts: [
      `SIGKILL of ${kills.length} loads at ${momentsMs.join(", ")} ms after the first write: ` +
      `${kills.map(({ left }) => left.whole).join(", ")} of 3 files, ${
        rounds.every(({ inPart }) => inPart === 0) ? "none" : "SOME"
      } in part`,
      `the next load: ${rounds.map(({ later }) => later).join(", ")}, each with 3 of 3 files: ` +
      `${rounds.every(({ after }) => isAll(after)) ? "yes" : "no"}`,
      `workers that could be killed: ${rounds.reduce((sum, { workers }) => sum + workers, 0)}`,
    ],
  };
}

interface Round {
  readonly wasKilled: boolean;
  /** Processes that it started. */
  readonly workers: number;
  readonly left: Share;
  /** Files that are there, but not whole. */
  readonly inPart: number;
  readonly later: string;
  readonly after: Share;
  readonly holds: boolean;
}

async function killOurLoad(
  stage: Stage,
  { saver, name, ms }: { saver: Pod; name: string; ms: number },
): Promise<Round> {
  const pod = stage.pod(name);
  let pid = 0;
  let hasEnded = false;
  const ended = stage.ours(pod, ["load"], { onStart: (started) => pid = started }).finally(() =>
    hasEnded = true
  );
  await waitFor(() => hasEnded || fs.readdirSync(pod.torchDir).length > 0, "a load to write");
  await pause(ms);
  const workers = descendantsOf(pid).length;
  if (!hasEnded) process.kill(pid, "SIGKILL");
  const { code } = await ended;
  const left = countWhole(saver.torchDir, pod.torchDir);
  const visible = filesIn(pod.torchDir).filter((file) => names.includes(`./${file}`)).length;
  const next = await stage.ours(pod, ["load"]);
  const after = countWhole(saver.torchDir, pod.torchDir);
  const status = next.result?.status;
  return {
    wasKilled: code === 128 + 9,
    workers,
    left,
    inPart: visible - left.whole,
    later: statusOf(next),
    after,
    // SKIPPED is right where everything was there.
    holds: workers === 0 && visible === left.whole && isAll(after) &&
      status === (isAll(left) ? "SKIPPED" : "SUCCESS"),
  };
}

export const killedLoad: Fault = {
  number: 3,
  title: "A killed load leaves a part that later loads SKIP; a killed worker is SUCCESS",
  peer,
  ours,
};
