/** A whole stress: pods hammer one store for a while, then everything is checked. */
import { close } from "./closing.ts";
import { Journal } from "./journal.ts";
import type { Options } from "./options.ts";
import { pause } from "./pause.ts";
import { describeEnd, describeProgress, describeStart } from "./report.ts";
import { loader } from "./loader.ts";
import { pruner } from "./pruner.ts";
import { Runner } from "./runner.ts";
import { saver } from "./saver.ts";
import { maxConcurrentSaves } from "./settings.ts";
import { Verdict } from "./verdict.ts";
import { Watcher } from "./watcher.ts";
import type { World } from "./world.ts";

/** Models that share the store: most pods are of the first. */
const keys = ["model-a", "model-b", "model-c"] as const;

const progressEveryMs = 10_000;

export interface Stress {
  readonly options: Options;
  /** For the pods' own directories. */
  readonly base: string;
  /** B10FS_CACHE_DIR: its parent is there. */
  readonly storeDir: string;
  /** Done when half of the time is over. */
  readonly halfway?: () => void;
  /** Told how to end every process at once. */
  readonly onStart?: (killAll: () => void) => void;
}

/** @returns whether everything held. @throws where the stress itself fails */
export async function stress({ options, base, storeDir, halfway, onStart }: Stress): Promise<boolean> {
  const startMs = performance.now();
  const over = new AbortController();
  const durationMs = options.minutes * 60_000;
  const world: World = {
    base,
    storeDir,
    seed: options.seed,
    killPercent: options.killPercent,
    durationMs,
    caches: keys.map((key) => ({ key, journal: new Journal() })),
    runner: new Runner({ storeDir, over: over.signal }),
    verdict: new Verdict(),
    over: over.signal,
    pods: new Set(),
  };
  onStart?.(() => world.runner.killAll());
  console.log(`${describeStart(options, world)}\n`);
  const watcher = new Watcher(storeDir, keys);
  watcher.start();
  const progress = setInterval(
    () => console.log(describeProgress(world, performance.now() - startMs)),
    progressEveryMs,
  );
  const timer = setTimeout(() => over.abort(), durationMs);
  try {
    const half = pause(durationMs / 2, over.signal).then(halfway);
    await Promise.all([...population(world, options), half]);
    console.log("\nEveryone is done. Checking …\n");
    await close(world, watcher);
  } finally {
    clearInterval(progress);
    clearTimeout(timer);
    over.abort();
    world.runner.killAll();
  }
  if (watcher.mostSavers > maxConcurrentSaves) {
    world.verdict.fail("I3", `${watcher.mostSavers} saved at once, of ${maxConcurrentSaves}`);
  }
  console.log(`${describeEnd(world, watcher)}\n\n${world.verdict}\n`);
  console.log(`seed ${options.seed}, ${((performance.now() - startMs) / 1000).toFixed(0)} s in all`);
  return world.verdict.isGood;
}

function population(world: World, { savers, loaders, pruners }: Options): Promise<void>[] {
  const each = (count: number, act: (world: World, number: number) => Promise<void>) =>
    Array.from({ length: count }, (_, number) => act(world, number));
  return [...each(savers, saver), ...each(loaders, loader), ...each(pruners, pruner)];
}
