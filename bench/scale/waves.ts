/** Waves of loaders of the real cache, one after the other. */
import * as os from "node:os";
import type { LoadersAtOnce } from "../comparison/results.ts";
import type { Contender, Places } from "../contenders/contender.ts";
import { memoryProblem } from "../memory_needed.ts";
import { remove } from "../places.ts";
import { runCommand } from "../processes/command.ts";
import { median } from "../race.ts";
import { trees } from "../trees/trees.ts";
import { fixtureBytes } from "../../tests/fixture.ts";
import { runWave, type Wave } from "./wave.ts";

/**
 * Of one loader, among many: what it restores, and what its process has for itself. The binary's own pages are shared, and
 * not all are at their peak at once: 50 loaders were seen to take 64 MB each.
 */
const loaderBytes = fixtureBytes + 35e6;

export interface Waves {
  readonly waves: readonly Wave[];
  /** In words. */
  readonly leftOut: readonly string[];
}

/** One wave of each size, as far as there is memory for it. @param own this program */
export async function playWaves(
  places: Places,
  own: Contender,
  counts: readonly number[],
): Promise<Waves> {
  return await withStore(places, own, (play) => {
    const waves: Wave[] = [];
    const leftOut: string[] = [];
    for (const count of counts) {
      const problem = memoryProblem(count * loaderBytes);
      if (problem === undefined) waves.push(play(count));
      else leftOut.push(`Left out: ${count} loaders at once, as ${problem}.`);
    }
    return { waves, leftOut };
  });
}

const manyLoaders = 50;
const aloneRounds = 7;
const manyRounds = 3;

/** What fifty replicas that start at once on one machine cost, beside one that is alone. */
export async function measureLoadersAtOnce(
  places: Places,
  own: Contender,
): Promise<LoadersAtOnce> {
  return await withStore(places, own, (play) => ({
    loaders: manyLoaders,
    oneCpuMs: median(Array.from({ length: aloneRounds }, () => play(1).cpuMs)),
    wallMs: median(
      Array.from({ length: manyRounds }, () => play(manyLoaders).wallMs),
    ),
    cores: os.availableParallelism(),
  }));
}

/** A store of the real cache for the time of `act`; it was loaded once, so that its use is noted for this hour. */
async function withStore<T>(
  places: Places,
  own: Contender,
  act: (play: (count: number) => Wave) => T,
): Promise<T> {
  const { tree, target, base } = places;
  try {
    await trees.a.make(tree);
    for (const operation of ["save", "load"] as const) {
      await own.prepare(operation);
      await runCommand(own.command(operation));
    }
    return act((count) => runWave({ count, base, store: own.stored, tree }));
  } finally {
    remove(tree, target, own.stored);
  }
}
