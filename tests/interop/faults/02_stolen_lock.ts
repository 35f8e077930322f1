/** A lock older than 30 s is taken from a live writer, who then publishes the thief's half-written file. */
import * as fs from "node:fs";
import * as path from "node:path";
import { proceed } from "../peer.ts";
import { archiveState } from "./archive_state.ts";
import type { Fault, Finding } from "./fault.ts";
import { loadFresh, saverStoppedAtPacking } from "./savers.ts";
import { type Stage, statusOf } from "./stage.ts";
import { writeTree } from "./trees.ts";
import { pause } from "./wait.ts";

/** Older than the 30 s after which b10-transfer removes it. */
const lockAgeS = 31;
const lockTimeoutS = 1;

async function peer(stage: Stage): Promise<Finding> {
  const [a, b] = [stage.pod("a"), stage.pod("b")];
  writeTree(a.torchDir, { "a.so": 200_000 });
  writeTree(b.torchDir, { "b.so": 400_000 });
  const thief = stage.startPeer(b, ["save"], { stop: "half-copied", hold: true });
  const writer = stage.startPeer(a, ["save"], { stop: "copied" });
  const writerPid = await writer.stopped();
  ageBy(path.join(stage.storeDir, "copy_in.lock"), lockAgeS);
  await thief.ready();
  thief.go();
  await thief.stopped();
  proceed(writerPid);
  const [saved] = (await writer.results()).results;
  // The thief's pod goes away.
  thief.kill();
  await thief.ended();
  const archive = await archiveState(stage);
  const [load] = await stage.peerStatuses(stage.pod("c"), ["load"]);
  return {
    holds: saved?.status === "SUCCESS" && !archive.isSound && load === "ERROR",
    facts: [
      `saver A stopped under its lock, which was made ${lockAgeS} s old; B took it and stopped half-way: A ${saved?.status}`,
      `the archive ${archive.words}`,
      `the next load: ${load}`,
    ],
  };
}

function ageBy(file: string, seconds: number): void {
  const past = Date.now() / 1000 - seconds;
  fs.utimesSync(file, past, past);
}

async function ours(stage: Stage): Promise<Finding> {
  const settings = { CLEANUP_LOCK_TIMEOUT_SECONDS: String(lockTimeoutS) };
  const [a, b] = [stage.pod("a", settings), stage.pod("b", settings)];
  writeTree(b.torchDir, { "b.so": 400_000 });
  const writer = await saverStoppedAtPacking(stage, a);
  await pause(2 * lockTimeoutS * 1000);
  const thief = await stage.ours(b, ["save"]);
  proceed(writer.pid);
  const saved = await writer.ended;
  const loaded = await loadFresh(stage, [a, b]);
  return {
    holds: thief.result?.status === "SUCCESS" && saved.result?.status === "SUCCESS" && loaded.holds,
    facts: [
      `saver A stopped while it packed, with a lease timeout of ${lockTimeoutS} s; B passed it over: ${
        statusOf(thief)
      } ` +
      `after ${thief.seconds.toFixed(1)} s; A woke up: ${statusOf(saved)}`,
      loaded.words,
    ],
  };
}

export const stolenLock: Fault = {
  number: 2,
  title: "A live writer's lock is stolen; its rename publishes the thief's half-written file",
  peer,
  ours,
};
