/** Everything that is measured of one tree. */
import type { Contender, Operation, Places } from "../contenders/contender.ts";
import { ours } from "../contenders/program.ts";
import { remove, storedBytes } from "../places.ts";
import { firstOpenMs } from "../processes/first_open.ts";
import { median, race, runnerOf } from "../race.ts";
import { countCalls } from "../share/count.ts";
import { makeTrip } from "../share/round_trips.ts";
import { sizeOf } from "../trees/files.ts";
import { type TreeId, trees } from "../trees/trees.ts";
import { saveAgain } from "./again.ts";
import { weighContender } from "./costs.ts";
import type { OnShare, TreeResult } from "./results.ts";

export interface CompareOptions {
  readonly rounds: number;
  readonly onStep: (text: string) => void;
}

/** Makes the tree and removes everything again. @throws {Error} where a contender does not do its work */
export async function compareTree(
  id: TreeId,
  { places, contenders, watched }: {
    places: Places;
    contenders: readonly Contender[];
    watched: Contender;
  },
  { rounds, onStep }: CompareOptions,
): Promise<TreeResult> {
  const { title, make } = trees[id];
  const [own] = contenders;
  if (own?.name !== ours) {
    throw new Error(
      "Cannot compare without this program as the first contender",
    );
  }
  try {
    onStep("making it");
    await make(places.tree);
    onStep("saves");
    const saves = await race(
      contenders.map((contender) => runnerOf(contender, "save")),
      { rounds },
    );
    const stored = contenders.map(({ name, stored }) => ({
      name,
      bytes: storedBytes(stored),
    }));
    onStep("loads");
    // Every contender's last save is still there to be loaded.
    const loads = await race(
      contenders.map((contender) => runnerOf(contender, "load")),
      { rounds },
    );
    onStep("first access to the share");
    const firstOpen = await firstOpens(own, places, rounds);
    onStep("operations on the share");
    const onShare = await countOnShare(watched, places);
    onStep("CPU and memory");
    const costs = [];
    for (const contender of contenders) {
      costs.push(await weighContender(contender, places));
    }
    onStep("saves of what the store has");
    const again = [];
    for (const contender of contenders) {
      again.push(...await saveAgain(contender, places, { rounds }));
    }
    return {
      id,
      title,
      ...sizeOf(places.tree),
      saves,
      loads,
      stored,
      costs,
      again,
      onShare,
      firstOpenMs: median(firstOpen),
    };
  } finally {
    remove(
      places.tree,
      places.target,
      ...[...contenders, watched].map(({ stored }) => stored),
    );
  }
}

async function firstOpens(
  own: Contender,
  { share }: Places,
  rounds: number,
): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await own.prepare("load");
    times.push(await firstOpenMs(share, own.command("load")));
  }
  return times;
}

async function countOnShare(
  watched: Contender,
  { share }: Places,
): Promise<OnShare[]> {
  const count = async (operation: Operation): Promise<OnShare> => {
    const { calls } = await makeTrip(watched, operation, {
      share,
      latencyMs: 0,
    });
    return { operation, counted: countCalls(calls) };
  };
  const save = await count("save");
  // The first load in an hour notes that the cache is used.
  await count("load");
  return [save, await count("load")];
}
