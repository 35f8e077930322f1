/** I1, by loading: real loads of the generations that are there, from a copy of the store. */
import * as fs from "node:fs";
import * as path from "node:path";
import { podProblems } from "./check_pod.ts";
import { type Cache, makePod, removePod } from "./pod.ts";
import { noteLoad } from "./operate.ts";
import { patientSettings } from "./settings.ts";
import type { World } from "./world.ts";

/** Of a long history: the newest, the oldest, and as many in between as make this. */
const mostLoads = 12;

/**
 * Loads one number after the other of each cache into an empty directory, the newest first, which is then taken away.
 * @param except numbers of each cache that are left out.
 * @returns how many loads there were.
 */
export async function checkLoads(
  world: World,
  except: ReadonlyMap<string, ReadonlySet<number>>,
): Promise<number> {
  const copy = path.join(world.base, "copy");
  fs.cpSync(world.storeDir, path.join(copy, "compile_cache"), { recursive: true });
  try {
    const loads = await Promise.all(
      world.caches.map((cache) =>
        checkCache(world, cache, { copy, except: except.get(cache.key) ?? new Set() })
      ),
    );
    return loads.reduce((sum, count) => sum + count, 0);
  } finally {
    fs.rmSync(copy, { recursive: true });
  }
}

async function checkCache(
  world: World,
  cache: Cache,
  { copy, except }: { copy: string; except: ReadonlySet<number> },
): Promise<number> {
  const storeDir = path.join(copy, "compile_cache");
  const dir = path.join(storeDir, "native", cache.key, "generations");
  const numbers = fs.existsSync(dir)
    ? fs.readdirSync(dir).map((name) => Number.parseInt(name, 10)).sort((a, b) => b - a)
    : [];
  const remove = (n: number) =>
    fs.rmSync(path.join(dir, `${String(n).padStart(10, "0")}.json`), { recursive: true });
  for (const n of numbers.filter((n) => except.has(n))) remove(n);
  const left = numbers.filter((n) => !except.has(n));
  const step = Math.max(1, (left.length - 1) / (mostLoads - 1));
  let loads = 0;
  for (const [at, n] of left.entries()) {
    if (at >= Math.round(loads * step)) {
      await loadOne(world, cache, { storeDir, n });
      loads++;
    }
    remove(n);
  }
  return loads;
}

async function loadOne(
  world: World,
  cache: Cache,
  { storeDir, n }: { storeDir: string; n: number },
): Promise<void> {
  const { verdict, runner, base } = world;
  const pod = makePod({ base, storeDir }, `load-of-${cache.key}-${n}`, cache);
  const ran = await runner.run({ pod, operation: "load", settings: patientSettings });
  const { result, finished } = ran;
  if (result?.status !== "SUCCESS" || result.generation !== n) {
    verdict.fail(
      "I1",
      `generation ${n} of ${cache.key} does not load: ${result?.message ?? finished.stderr}`,
    );
  }
  noteLoad(world, pod, ran);
  verdict.failAll("I1", podProblems(pod));
  removePod(pod);
}
