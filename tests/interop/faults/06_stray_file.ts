/** Any file in the local directory makes the load SKIP; a saved cache is never updated. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Fault, Finding } from "./fault.ts";
import { type Pod, type Stage, statusOf } from "./stage.ts";
import { countWhole, inWords, isAll, writeTree } from "./trees.ts";

const stray = "stray.lock";
const strayText = "not of the cache\n";

function podWithStray(stage: Stage): Pod {
  const pod = stage.pod("stray");
  fs.writeFileSync(path.join(pod.torchDir, stray), strayText);
  return pod;
}

function saverWith(stage: Stage): Pod {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, { "1.so": 10_000, "2.so": 10_000 });
  return saver;
}

function compileLater(saver: Pod): void {
  writeTree(saver.torchDir, { "later/3.so": 10_000 });
}

async function peer(stage: Stage): Promise<Finding> {
  const saver = saverWith(stage);
  const [first] = await stage.peerStatuses(saver, ["save"]);
  const pod = podWithStray(stage);
  const [load] = await stage.peerStatuses(pod, ["load"]);
  const beside = countWhole(saver.torchDir, pod.torchDir);
  compileLater(saver);
  const [second] = await stage.peerStatuses(saver, ["save"]);
  const fresh = stage.pod("fresh");
  await stage.peerStatuses(fresh, ["load"]);
  const later = countWhole(saver.torchDir, fresh.torchDir);
  return {
    holds: first === "SUCCESS" && load === "SKIPPED" && beside.whole === 0 && second === "SKIPPED" &&
      !isAll(later),
    facts: [
      `a load beside one stray file: ${load}, ${inWords(beside)}`,
      `a save with a graph compiled later: ${second}; a fresh load has ${inWords(later)}`,
    ],
  };
}

async function ours(stage: Stage): Promise<Finding> {
  const saver = saverWith(stage);
  await stage.ours(saver, ["save"]);
  const pod = podWithStray(stage);
  const load = await stage.ours(pod, ["load"]);
  const beside = countWhole(saver.torchDir, pod.torchDir);
  const isUntouched = fs.readFileSync(path.join(pod.torchDir, stray), "utf8") === strayText;
  compileLater(saver);
  const second = await stage.ours(saver, ["save"]);
  const fresh = stage.pod("fresh");
  await stage.ours(fresh, ["load"]);
  const later = countWhole(saver.torchDir, fresh.torchDir);
  return {
    holds: load.result?.status === "SUCCESS" && isAll(beside) && isUntouched &&
      second.result?.status === "SUCCESS" && isAll(later),
    facts: [
      `a load beside one stray file: ${statusOf(load)}, ${inWords(beside)}, the stray one ${
        isUntouched ? "as it was" : "CHANGED"
      }`,
      `a save with a graph compiled later: ${statusOf(second)}; a fresh load has ${inWords(later)}`,
    ],
  };
}

export const strayFile: Fault = {
  number: 6,
  title: "Any local file makes a load SKIP; graphs compiled later are never saved",
  peer,
  ours,
};
