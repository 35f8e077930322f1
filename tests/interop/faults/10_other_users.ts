/** Files written during a save make tar fail; archives of mode 0600; a share that is read-only for the reader. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { PeerRun } from "../peer.ts";
import type { Fault, Finding } from "./fault.ts";
import { giveTo, otherUid, type Pod, type Stage, statusOf, without } from "./stage.ts";
import { countWhole, inWords, isAll, writeTree } from "./trees.ts";

const growing = "growing.log";
const appendEveryMs = 1;

/** The Python with torch may lie in a home directory that other users cannot enter: both pods do without. */
const unreachable = ["B10_CACHE_PYTHON"];

/** Takes tar a while. */
const bytes = 20_000_000;

/** Appends to a file all the time. */
class Writer implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(file: string) {
    this.#timer = setInterval(() => fs.appendFileSync(file, "one more line\n"), appendEveryMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function saverOf(stage: Stage): Pod {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, { "1.so": 10_000, "2.so": 10_000 });
  return saver;
}

/** A pod of another user, in a store that is open to all or read-only for it. */
function foreignPod(stage: Stage, { name, isReadOnly }: { name: string; isReadOnly: boolean }): Pod {
  fs.chmodSync(stage.storeDir, isReadOnly ? 0o755 : 0o1777);
  const pod = stage.pod(name);
  giveTo(otherUid, pod);
  return pod;
}

async function peer(stage: Stage): Promise<Finding> {
  const busy = stage.another("busy").pod("saver");
  writeTree(busy.torchDir, { [growing]: bytes });
  const whileWritten = await peerSaveWhileWritten(stage, busy);

  const [saved] = await stage.peerStatuses(saverOf(stage), ["save"]);
  const mode = fs.statSync(stage.archive()).mode & 0o777;
  const other = await peerLoadAs(stage, foreignPod(stage, { name: "other", isReadOnly: false }));
  fs.chmodSync(stage.archive(), 0o644);
  // Shows that nothing else is in the way.
  const control = await peerLoadAs(stage, foreignPod(stage, { name: "control", isReadOnly: false }));
  const reader = await peerLoadAs(stage, foreignPod(stage, { name: "reader", isReadOnly: true }));
  return {
    holds: whileWritten.isRefused && saved === "SUCCESS" && mode === 0o600 && other.isRefused &&
      control.status === "SUCCESS" && reader.isRefused,
    facts: [
      `a save while a file grows: ${whileWritten.words}`,
      `its archive's mode: 0${mode.toString(8)}; a load as user ${otherUid}: ${other.words}`,
      `mode made 0644: ${control.words}; and the share read-only for user ${otherUid}: ${reader.words}`,
    ],
  };
}

async function peerSaveWhileWritten(stage: Stage, pod: Pod): Promise<Refused> {
  using _writer = new Writer(path.join(pod.torchDir, growing));
  return refusedFor("file changed as we read it", await stage.peer(pod, ["save"]));
}

async function peerLoadAs(stage: Stage, pod: Pod): Promise<Refused> {
  return refusedFor("Permission denied", await stage.peer(pod, ["load"], { uid: otherUid }));
}

interface Refused {
  readonly status: string;
  /** Whether it is an ERROR, for the reason that was looked for. */
  readonly isRefused: boolean;
  readonly words: string;
}

function refusedFor(reason: string, { results, stderr }: PeerRun): Refused {
  const status = results[0]?.status ?? "";
  const isRefused = status === "ERROR" && stderr.includes(reason);
  return { status, isRefused, words: isRefused ? `${status}, "${reason}"` : status };
}

async function ours(stage: Stage): Promise<Finding> {
  const busyStage = stage.another("busy");
  const busy = saverOf(busyStage);
  const settled = busyStage.pod("settled");
  fs.cpSync(busy.torchDir, settled.torchDir, { recursive: true });
  writeTree(busy.torchDir, { [growing]: bytes });
  const whileWritten = await ourSaveWhileWritten(busyStage, busy);
  const fresh = busyStage.pod("fresh");
  const load = await busyStage.ours(fresh, ["load"]);
  const count = countWhole(settled.torchDir, fresh.torchDir);

  const saver = saverOf(stage);
  const saved = await stage.ours(without(saver, unreachable), ["save"]);
  const other = await ourLoadAs(stage, {
    saver,
    pod: foreignPod(stage, { name: "other", isReadOnly: false }),
  });
  const reader = await ourLoadAs(stage, {
    saver,
    pod: foreignPod(stage, { name: "reader", isReadOnly: true }),
  });
  return {
    holds: whileWritten.result?.status === "SUCCESS" && load.result?.status === "SUCCESS" && isAll(count) &&
      saved.result?.status === "SUCCESS" && other.holds && reader.holds,
    facts: [
      `a save while a file grows: ${statusOf(whileWritten)}; a fresh load has ${
        inWords(count)
      } that were at rest`,
      `a load as user ${otherUid}: ${other.words}`,
      `the share read-only for user ${otherUid}: ${reader.words}`,
    ],
  };
}

async function ourSaveWhileWritten(stage: Stage, pod: Pod) {
  using _writer = new Writer(path.join(pod.torchDir, growing));
  return await stage.ours(pod, ["save"]);
}

async function ourLoadAs(stage: Stage, { saver, pod }: { saver: Pod; pod: Pod }) {
  const load = await stage.ours(without(pod, unreachable), ["load"], { uid: otherUid });
  const count = countWhole(saver.torchDir, pod.torchDir);
  return {
    holds: load.result?.status === "SUCCESS" && isAll(count),
    words: `${statusOf(load)} with ${inWords(count)}`,
  };
}

export const otherUsers: Fault = {
  number: 10,
  title: "A growing file fails the save; other users, and readers alone, cannot load",
  peer,
  ours,
};
