/** Loads take turns behind one lock that is polled each second. */
import * as fs from "node:fs";
import process from "node:process";
import { proceed } from "../peer.ts";
import type { Fault, Finding } from "./fault.ts";
import { type Pod, type Run, type Stage } from "./stage.ts";
import { countWhole, isAll, writeTree } from "./trees.ts";
import { waitFor } from "./wait.ts";

const pods = 8;
const bytes = 200_000;

/** A lone load takes 1 s; without turns eight would not take much longer. */
const turnsS = 3;

/** Each of ours takes a few hundredths of a second of two cores. */
const noTurnsS = 2;

async function peer(stage: Stage): Promise<Finding> {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, { "1.so": bytes });
  const [saved] = await stage.peerStatuses(saver, ["save"]);
  const loads = podsOf(stage).map((pod) => stage.startPeer(pod, ["load"], { hold: true }));
  // So importing torch is not counted.
  await Promise.all(loads.map((load) => load.ready()));
  for (const load of loads) load.go();
  const runs = await Promise.all(loads.map((load) => load.results()));
  const seconds = sorted(runs.map(({ results }) => results[0]?.seconds ?? 0));
  const statuses = runs.map(({ results }) => results[0]?.status);
  return {
    holds: saved === "SUCCESS" && (seconds.at(-1) ?? 0) >= turnsS,
    facts: [
      `${pods} loads of ${bytes / 1e6} MB at once, without the import: ${inSeconds(seconds)} s`,
      `${statuses.filter((status) => status === "SUCCESS").length} of ${pods} SUCCESS`,
    ],
  };
}

async function ours(stage: Stage): Promise<Finding> {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, { "1.so": bytes });
  await stage.ours(saver, ["save"]);
  const fleet = podsOf(stage);
  const loads = await Promise.all(fleet.map((pod) => stage.ours(pod, ["load"])));
  const seconds = sorted(loads.map((load) => load.seconds));
  const beside = await loadBesideStopped(stage.another("stopped"));
  return {
    holds: areWhole(loads, { saver, fleet }) && (seconds.at(-1) ?? 0) < noTurnsS && beside.holds,
    facts: [
      `${pods} loads of ${bytes / 1e6} MB at once, whole processes: ${inSeconds(seconds)} s`,
      `${succeeded(loads)} of ${pods} SUCCESS`,
      beside.words,
    ],
  };
}

/** Where one loader hangs in the middle, the others must not notice. */
async function loadBesideStopped(stage: Stage): Promise<{ holds: boolean; words: string }> {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, { "1.so": bytes, "large.so": 30_000_000 });
  await stage.ours(saver, ["save"]);
  const stopped = stage.pod("stopped");
  let pid = 0;
  let hasEnded = false;
  const load = stage.ours(stopped, ["load"], { onStart: (started) => pid = started }).finally(() =>
    hasEnded = true
  );
  await waitFor(() => hasEnded || fs.readdirSync(stopped.torchDir).length > 0, "a load to write");
  if (!hasEnded) process.kill(pid, "SIGSTOP");
  const fleet = podsOf(stage);
  const loads = await Promise.all(fleet.map((pod) => stage.ours(pod, ["load"])));
  const wasStopped = !hasEnded;
  if (wasStopped) proceed(pid);
  await load;
  return {
    holds: wasStopped && areWhole(loads, { saver, fleet }),
    words: `${pods} more beside one that is stopped in the middle: ` +
      `${succeeded(loads)} SUCCESS, at most ` +
      `${sorted(loads.map((done) => done.seconds)).at(-1)?.toFixed(2)} s`,
  };
}

function podsOf(stage: Stage): Pod[] {
  return Array.from({ length: pods }, (_, index) => stage.pod(`pod-${index}`));
}

function areWhole(loads: readonly Run[], { saver, fleet }: { saver: Pod; fleet: readonly Pod[] }): boolean {
  return loads.every(({ result }) => result?.status === "SUCCESS") &&
    fleet.every((pod) => isAll(countWhole(saver.torchDir, pod.torchDir)));
}

function succeeded(loads: readonly Run[]): number {
  return loads.filter(({ result }) => result?.status === "SUCCESS").length;
}

function sorted(seconds: readonly number[]): number[] {
  return seconds.toSorted((one, other) => one - other);
}

function inSeconds(seconds: readonly number[]): string {
  return seconds.map((value) => value.toFixed(2)).join(", ");
}

export const loadsTakeTurns: Fault = {
  number: 5,
  title: "Loads take turns behind one lock, polled each second",
  peer,
  ours,
};
