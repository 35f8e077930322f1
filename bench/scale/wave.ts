/** Many loaders that start at once on this machine. */
import * as path from "node:path";
import { differences, type Snapshot, takeSnapshot } from "../../scripts/snapshot.ts";
import { remove } from "../places.ts";
import { weighAtOnce, type Weighed } from "../processes/usage.ts";
import { median } from "../race.ts";
import { makeLoaders } from "./pods.ts";
import { storeState } from "./store_state.ts";

export interface Wave {
  readonly loaders: number;
  /** From the first start to the last end. */
  readonly wallMs: number;
  /** Of each loader, from its start to its end. */
  readonly fastestMs: number;
  readonly medianMs: number;
  readonly slowestMs: number;
  /** Of all loaders together. */
  readonly cpuMs: number;
  /** Of the largest loader. */
  readonly maxRssBytes: number;
}

export interface WaveOptions {
  readonly count: number;
  /** Where the pods are made, and removed from. */
  readonly base: string;
  /** The shared store, of which a use was noted within this hour. */
  readonly store: string;
  /** What each pod must have in the end. */
  readonly tree: string;
}

/**
 * Lets that many pods load at once.
 * @throws {Error} where a load fails, a pod has other files than the tree, or anything in the store was written, made or
 * removed, even for a moment
 */
export function runWave({ count, base, store, tree }: WaveOptions): Wave {
  const podsDir = path.join(base, "wave");
  const loaders = makeLoaders(podsDir, { count, base, store });
  const before = storeState(store);
  try {
    const weighed = weighAtOnce(loaders.map(({ command }) => command));
    requireSame(store, before, storeState(store));
    const expected = takeSnapshot(tree);
    for (const { root } of loaders) {
      requireSame(root, expected, takeSnapshot(root));
    }
    return summarise(weighed);
  } finally {
    remove(podsDir);
  }
}

function requireSame(dir: string, expected: Snapshot, actual: Snapshot): void {
  const [first, ...more] = differences(expected, actual);
  if (first) {
    throw new Error(
      `"${dir}" is not as it must be, in ${more.length + 1} places, as ${first}`,
    );
  }
}

function summarise(weighed: readonly Weighed[]): Wave {
  const timesMs = weighed.map(({ elapsedMs }) => elapsedMs);
  return {
    loaders: weighed.length,
    wallMs: Math.max(
      ...weighed.map(({ startedMs, elapsedMs }) => startedMs + elapsedMs),
    ),
    fastestMs: Math.min(...timesMs),
    medianMs: median(timesMs),
    slowestMs: Math.max(...timesMs),
    cpuMs: weighed.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    maxRssBytes: Math.max(...weighed.map(({ maxRssBytes }) => maxRssBytes)),
  };
}
