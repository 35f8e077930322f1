/** Saves of a tree that the store has already, or nearly. */
import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Contender, Places } from "../contenders/contender.ts";
import { remove } from "../places.ts";
import { runCommand } from "../processes/command.ts";
import { type Measured, race } from "../race.ts";
import { changeTree } from "../trees/change.ts";
import type { SaveAgain } from "./results.ts";

const changedShare = 0.01;
const changeSeed = 11;

/** This program waits for files that are younger than half a second; that is not what is measured. */
const restMs = 1000;

/** @returns nothing for a contender that packs everything anew each time: its save is the same again. */
export async function saveAgain(
  contender: Contender,
  { tree, target }: Places,
  { rounds }: { rounds: number },
): Promise<SaveAgain[]> {
  if (!contender.savesChangesAlone) return [];
  const same = { rounds, expected: "SKIPPED", before: () => {} } as const;
  await contender.prepare("save");
  await runCommand(contender.command("save"));
  const saver = await timeSaves(contender, tree, same);

  await contender.prepare("load");
  await runCommand(contender.command("load"));
  const loader = await timeSaves(contender, target, same);

  const changed = changeTree(target, { share: changedShare, seed: changeSeed });
  await sleep(restMs);
  const kept = `${contender.stored}.kept`;
  copy(contender.stored, kept);
  const before = () => {
    remove(contender.stored);
    copy(kept, contender.stored);
  };
  const changes = await timeSaves(contender, target, {
    rounds,
    expected: "SUCCESS",
    before,
  });
  remove(kept);
  return [
    { ...saver, case: "unchanged, saved here", changed: 0 },
    { ...loader, case: "unchanged, loaded here", changed: 0 },
    { ...changes, case: "1 % changed", changed },
  ];
}

interface SaveOptions {
  readonly rounds: number;
  readonly expected: "SUCCESS" | "SKIPPED";
  /** Not measured: puts things back to where a save starts. */
  readonly before: () => void;
}

async function timeSaves(
  contender: Contender,
  tree: string,
  { rounds, expected, before }: SaveOptions,
): Promise<Measured> {
  const run = async () => {
    before();
    const finished = await runCommand(contender.command("save", { tree }));
    contender.check?.(finished, expected);
    return finished.elapsedMs;
  };
  const [timed] = await race([{ name: contender.name, run }], { rounds });
  if (!timed) throw new Error(`Nothing was measured of ${contender.name}`);
  return timed;
}

function copy(from: string, to: string): void {
  fs.cpSync(from, to, { recursive: true, preserveTimestamps: true });
}
