/** What is done once nobody hammers the store any more, and what must hold then. */
import { checkHistory } from "./check_store.ts";
import { checkLoads } from "./check_loads.ts";
import { podProblems, stagingDirs } from "./check_pod.ts";
import type { Operation } from "./fate.ts";
import { letTimePass, storeLeftovers, unfinishedRecords } from "./leftovers.ts";
import { type Cache, makePod, type Pod } from "./pod.ts";
import { noteLoad, notePromise, noteTree, pruneOptions } from "./operate.ts";
import type { Ran } from "./runner.ts";
import { Seeded } from "./seeded.ts";
import { compactingSettings, longAgoMs, patientSettings } from "./settings.ts";
import { writeFirstFiles } from "./tree.ts";
import { judge, type World } from "./world.ts";
import type { Watcher } from "./watcher.ts";

/** Pods whose last load was killed are all looked at, and so many others. */
const otherPods = 20;

export async function close(world: World, watcher: Watcher): Promise<void> {
  const { verdict } = world;
  for (const pod of world.pods) verdict.failAll("I2", podProblems(pod));
  await checkStore(world, watcher, "as it was left");
  await goOn(world);
  await completeLoads(world);
  await tidyUp(world);
  await checkStore(world, watcher, "after the last prunes");
  await watcher.stop();
  judgeNumbers(world, watcher);
}

interface Expected {
  readonly operation: Operation;
  readonly statuses: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
}

/** Runs an operation that nobody disturbs, and that must end with one of these. */
async function expect(
  world: World,
  pod: Pod,
  { operation, statuses, settings }: Expected,
): Promise<Ran> {
  const options = operation === "prune" ? pruneOptions : [];
  if (operation === "save") noteTree(pod);
  const ran = await world.runner.run({
    pod,
    operation,
    options,
    settings: { ...patientSettings, ...settings },
  });
  judge(world, ran);
  const status = ran.result?.status ?? "";
  if (!statuses.includes(status)) {
    world.verdict.fail("I4", `the ${operation} of ${pod.name} was ${status}: ${ran.result?.message}`);
  }
  if (operation === "load") noteLoad(world, pod, ran);
  if (operation === "save") notePromise(pod, ran);
  return ran;
}

async function checkStore(world: World, watcher: Watcher, when: string): Promise<void> {
  const { verdict, caches } = world;
  const [anyCache] = caches;
  if (!anyCache) return;
  const pod = makePod(world, `verifier ${when}`, anyCache);
  const all = { ...pod, settings: { ...pod.settings, B10_CACHE_KEY: "" } };
  await expect(world, all, { operation: "verify", statuses: ["SUCCESS"] });
  const except = new Map(caches.map(({ key }) => [key, watcher.of(key).returned]));
  const looked = await Promise.all(
    caches.map((cache) => checkHistory(world, cache, except.get(cache.key) ?? new Set())),
  );
  const sum = (field: keyof typeof looked[number]) => looked.reduce((total, each) => total + each[field], 0);
  const loads = await checkLoads(world, except);
  verdict.note(
    "I1",
    `the store ${when}: ${sum("generations")} generations of ${sum("files")} files, ${
      sum("layers")
    } layers ` +
      `read back; ${loads} of the generations loaded`,
  );
}

/** I4: no command needs help. */
async function goOn(world: World): Promise<void> {
  for (const cache of world.caches) {
    await saveSomething(world, cache, { name: "next" });
    const loading = makePod(world, `next-loader-${cache.key}`, cache);
    await expect(world, loading, { operation: "load", statuses: ["SUCCESS"] });
    world.verdict.failAll("I2", podProblems(loading));
    await expect(world, loading, { operation: "prune", statuses: ["SUCCESS", "SKIPPED"] });
  }
  world.verdict.note("I4", "a save, a load and a prune of each cache by new pods");
}

async function saveSomething(
  world: World,
  cache: Cache,
  { name, settings = {} }: { name: string; settings?: Readonly<Record<string, string>> },
): Promise<void> {
  const pod = makePod(world, `${name}-saver-${cache.key}`, cache);
  writeFirstFiles(pod, new Seeded(world.seed, pod.name));
  await expect(world, pod, { operation: "save", statuses: ["SUCCESS"], settings });
}

/** I2: a load completes what one before it left unfinished, and the next one has nothing to do. */
async function completeLoads(world: World): Promise<void> {
  const loaders = [...world.pods].filter(({ name }) => name.startsWith("loader"));
  const killed = loaders.filter((pod) => pod.killedLoads > 0);
  const others = loaders.filter((pod) => pod.killedLoads === 0).slice(0, otherPods);
  await Promise.all([...killed, ...others].map(async (pod) => {
    await expect(world, pod, { operation: "load", statuses: ["SUCCESS", "SKIPPED"] });
    await expect(world, pod, { operation: "load", statuses: ["SKIPPED"] });
    world.verdict.failAll("I2", podProblems(pod));
  }));
  world.verdict.note(
    "I2",
    `${world.pods.size} pods; ${killed.length} with a load that was killed and ${others.length} others loaded twice more`,
  );
}

/** I5 and I6: time passes, then a save and two prunes. */
async function tidyUp(world: World): Promise<void> {
  const { verdict, storeDir, caches } = world;
  const [anyCache] = caches;
  if (!anyCache) return;
  letTimePass(storeDir);
  // Compacted, so that the two newest generations have no layer in common: a prune is to spare both.
  for (const cache of caches) {
    await saveSomething(world, cache, { name: "last", settings: compactingSettings });
  }
  const pruning = makePod(world, "last-pruner", anyCache);
  await expect(world, pruning, { operation: "prune", statuses: ["SUCCESS", "SKIPPED"] });
  letTimePass(storeDir);
  await expect(world, pruning, { operation: "prune", statuses: ["SUCCESS", "SKIPPED"] });
  const { problems, deadPlaces } = await storeLeftovers(storeDir, caches.map(({ key }) => key));
  verdict.failAll("I6", problems);
  const littered = await tidyPods(world);
  verdict.note(
    "I6",
    `with every time set back by ${
      longAgoMs / 60_000
    } minutes: a save that compacts, two prunes, and loads on ${littered} pods ` +
      "with unfinished work of the dead",
    `${deadPlaces} leases of dead savers are left for whoever needs their place`,
  );
}

/** What killed loads left on their pods goes with a later load. @returns on how many pods there was any */
async function tidyPods(world: World): Promise<number> {
  const litterOf = (pod: Pod) => [...stagingDirs(pod), ...unfinishedRecords(pod)];
  const littered = [...world.pods].filter((pod) => litterOf(pod).length > 0);
  for (const pod of littered) {
    for (const dir of [...stagingDirs(pod), pod.workDir]) letTimePass(dir);
    // There is something to restore, as something was saved since.
    await expect(world, pod, { operation: "load", statuses: ["SUCCESS"] });
    world.verdict.failAll("I6", litterOf(pod).map((place) => `${place} is left`));
  }
  return littered.length;
}

/** I3: what was seen of the numbers while all this went on. */
function judgeNumbers({ verdict, caches }: World, watcher: Watcher): void {
  for (const { key } of caches) {
    const watched = watcher.of(key);
    verdict.failAll(
      "I3",
      [...watched.problems, ...watched.brokenLinks()].map((problem) => `${key}: ${problem}`),
    );
  }
  const promised = caches.reduce((sum, { journal }) => sum + journal.promisedPaths, 0);
  const seen = caches.reduce((sum, { key }) => sum + watcher.of(key).seen.size, 0);
  verdict.note("I3", `${promised} paths that saves reported; ${seen} numbers in ${watcher.looks} looks`);
}
