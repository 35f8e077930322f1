/** One operation of a pod: what it meets, what it promises, and what must be true of it at once. */
import { drawFate, type Operation } from "./fate.ts";
import { type Cache, hasPath, makePod, type Pod } from "./pod.ts";
import { type Ran, settingsFor } from "./runner.ts";
import type { Seeded } from "./seeded.ts";
import { listFiles } from "./tree.ts";
import { judge, type World } from "./world.ts";

export const pruneOptions = ["--keep-last", "2"];

/** What a shell says of a process that was ended by SIGKILL. */
const killedCode = 137;

/** Most pods are of one model. */
function cacheOf({ caches }: World, number: number): Cache {
  const cache = caches[Math.max(0, number % 10 - (10 - caches.length))] ?? caches[0];
  if (!cache) throw new Error("Cannot give a pod a cache as there is none");
  return cache;
}

/** @param who its number decides its cache. */
export function newPod(
  world: World,
  { name, number, settings }: {
    name: string;
    number: number;
    settings?: Readonly<Record<string, string>>;
  },
): Pod {
  const pod = makePod(world, name, cacheOf(world, number), settings);
  world.pods.add(pod);
  return pod;
}

/** A process that runs while others do. */
export interface Risky {
  readonly operation: Operation;
  readonly random: Seeded;
  /** So many times as often as usual it is killed or stopped. */
  readonly risk?: number;
}

/** Runs one operation of a pod, with its fate, and judges what it came to. @returns undefined where time is up */
export async function operate(
  world: World,
  pod: Pod,
  { operation, random, risk = 1 }: Risky,
): Promise<Ran | undefined> {
  const fate = drawFate(random, operation, world.killPercent * risk);
  if (operation === "save") noteTree(pod);
  const ran = await world.runner.runInTime({
    pod,
    operation,
    fate,
    options: operation === "prune" ? pruneOptions : [],
    settings: settingsFor(fate, random),
  });
  if (!ran) return undefined;
  judge(world, ran);
  if (operation === "save") notePromise(pod, ran);
  if (operation === "load") noteLoad(world, pod, ran);
  return ran;
}

/** From here on the cache may have what this pod wrote. */
export function noteTree({ own, cache }: Pod): void {
  for (const [file, line] of own) cache.journal.noteWritten(file, line);
}

/** A save said of every path of its pod that the cache has it by now. */
export function notePromise(pod: Pod, { result }: Ran): void {
  if (!result || result.generation === 0) return;
  pod.cache.journal.notePromise(listFiles(pod), { generation: result.generation, by: pod.name });
}

/** Everything that a save had reported of the generation that is said to be there must be there. */
export function noteLoad({ verdict }: World, pod: Pod, { result, finished }: Ran): void {
  if (finished.code === killedCode) pod.killedLoads++;
  if (!result || result.generation === 0) return;
  const { journal } = pod.cache;
  journal.noteNumber(result.generation);
  for (const broken of journal.brokenPromises(result.generation, (name) => hasPath(pod, name))) {
    verdict.fail("I2", `${pod.name} was told ${result.status} of ${result.generation} and lacks ${broken}`);
  }
}
