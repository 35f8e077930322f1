/** Two savers share one .incomplete name: one publishes what the other is still writing. */
import { proceed } from "../peer.ts";
import { archiveState } from "./archive_state.ts";
import type { Fault, Finding } from "./fault.ts";
import { loadFresh, saverStoppedAtPacking } from "./savers.ts";
import { type Stage, statusOf } from "./stage.ts";
import { countWhole, inWords, isAll, writeTree } from "./trees.ts";
import { pause } from "./wait.ts";

/** Nobody waits for a stopped saver's lease for so short a time. */
const asleepMs = 300;
const roundsAtOnce = 3;

async function peer(stage: Stage): Promise<Finding> {
  const [a, b] = [stage.pod("a"), stage.pod("b")];
  writeTree(a.torchDir, { "a.so": 400_000 });
  writeTree(b.torchDir, { "b.so": 200_000 });
  const first = stage.startPeer(a, ["save"], { stop: "before-lock" });
  const second = stage.startPeer(b, ["save"], { stop: "half-copied", hold: true });
  const firstPid = await first.stopped();
  await second.ready();
  second.go();
  const secondPid = await second.stopped();
  // Both saw no lock, and now write into one file; B goes on in it even after A has published it.
  proceed(firstPid);
  const firstRun = await first.results();
  proceed(secondPid);
  const secondRun = await second.results();
  const archive = await archiveState(stage);
  const [load] = await stage.peerStatuses(stage.pod("c"), ["load"]);
  const [saveA, saveB] = [firstRun.results[0]?.status, secondRun.results[0]?.status];
  return {
    holds: saveA === "SUCCESS" && !archive.isSound && load === "ERROR",
    facts: [
      `saver A stopped between its look for the lock and its own, B half-way through its copy: A ${saveA}, B ${saveB}`,
      `the archive ${archive.words}`,
      `the next load: ${load}`,
    ],
  };
}

async function ours(stage: Stage): Promise<Finding> {
  const sleeping = await saveWhileOneSleeps(stage.another("asleep"));
  const facts = [`saver A stopped while it packed, for ${asleepMs / 1000} s, B beside it: ${sleeping.facts}`];
  let holds = sleeping.holds;
  const rounds = [];
  for (let round = 0; round < roundsAtOnce; round++) {
    rounds.push(await saveAtOnce(stage.another(`round-${round}`)));
  }
  holds &&= rounds.every((round) => round.holds);
  facts.push(`${roundsAtOnce} times both at once: ${rounds.map((round) => round.words).join("; ")}`);
  return { holds, facts };
}

async function saveWhileOneSleeps(stage: Stage): Promise<{ holds: boolean; facts: string }> {
  const [a, b] = [stage.pod("a"), stage.pod("b")];
  writeTree(b.torchDir, { "b.so": 200_000 });
  const sleeper = await saverStoppedAtPacking(stage, a);
  const second = stage.ours(b, ["save"]);
  await pause(asleepMs);
  proceed(sleeper.pid);
  const [saveA, saveB] = await Promise.all([sleeper.ended, second]);
  const loaded = await loadFresh(stage, [a, b]);
  return {
    holds: saveA.result?.status === "SUCCESS" && saveB.result?.status === "SUCCESS" && loaded.holds,
    facts: `A ${statusOf(saveA)}, B ${statusOf(saveB)}; ${loaded.words}`,
  };
}

async function saveAtOnce(stage: Stage): Promise<{ holds: boolean; words: string }> {
  const pods = [stage.pod("a"), stage.pod("b")];
  for (const [index, pod] of pods.entries()) writeTree(pod.torchDir, { [`${index}.so`]: 400_000 });
  const saves = await Promise.all(pods.map((pod) => stage.ours(pod, ["save"])));
  const fresh = stage.pod("fresh");
  await stage.ours(fresh, ["load"]);
  const counts = pods.map((pod) => countWhole(pod.torchDir, fresh.torchDir));
  const sum = { whole: counts.reduce((sum, { whole }) => sum + whole, 0), of: counts.length };
  return {
    holds: saves.every(({ result }) => result?.status === "SUCCESS") && isAll(sum),
    words: `${saves.map(statusOf).join(", ")}, a load has ${inWords(sum)}`,
  };
}

export const twoSavers: Fault = {
  number: 1,
  title: "Two savers publish a corrupt archive and report SUCCESS",
  peer,
  ours,
};
