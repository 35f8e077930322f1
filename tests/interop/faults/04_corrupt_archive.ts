/** A corrupt archive stays for ever: loads ERROR, saves SKIP. */
import * as fs from "node:fs";
import { archiveState } from "./archive_state.ts";
import type { Fault, Finding } from "./fault.ts";
import { type Stage, statusOf } from "./stage.ts";
import { countWhole, inWords, isAll, writeTree } from "./trees.ts";

const files = { "1.so": 100_000, "2.so": 100_000 };

function truncateToHalf(file: string): void {
  fs.truncateSync(file, Math.floor(fs.statSync(file).size / 2));
}

async function peer(stage: Stage): Promise<Finding> {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, files);
  const [saved] = await stage.peerStatuses(saver, ["save"]);
  truncateToHalf(stage.archive());
  const [again] = await stage.peerStatuses(saver, ["save"]);
  const loads = await stage.peerStatuses(stage.pod("loader"), ["load"]);
  const archive = await archiveState(stage);
  return {
    holds: saved === "SUCCESS" && again === "SKIPPED" && loads[0] === "ERROR" && !archive.isSound,
    facts: [
      `half of the archive lost; a save by a pod that has all files: ${again}; a load: ${loads[0]}`,
      `the archive ${archive.words} still`,
    ],
  };
}

async function ours(stage: Stage): Promise<Finding> {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, files);
  const saved = await stage.ours(saver, ["save"]);
  const layers = stage.storeFiles("/layers/");
  for (const layer of layers) truncateToHalf(layer);
  const broken = stage.pod("broken");
  const refused = await stage.ours(broken, ["load"]);
  const left = fs.readdirSync(broken.torchDir).length;
  const healing = await stage.ours(saver, ["save"]);
  const loader = stage.pod("loader");
  const healed = await stage.ours(loader, ["load"]);
  const count = countWhole(saver.torchDir, loader.torchDir);
  return {
    holds: saved.result?.status === "SUCCESS" && layers.length === 1 && refused.result?.status === "ERROR" &&
      left === 0 && healing.result?.status === "SUCCESS" && healed.result?.status === "SUCCESS" &&
      isAll(count),
    facts: [
      `half of the layer lost; a load: ${statusOf(refused)}, ${left} files written`,
      `a save by a pod that has all files: ${statusOf(healing)}`,
      `the next load: ${statusOf(healed)} with ${inWords(count)}`,
    ],
  };
}

export const corruptArchive: Fault = {
  number: 4,
  title: "A corrupt archive stays for ever: loads ERROR, saves SKIP",
  peer,
  ours,
};
