/** I6: what must be gone once everyone is done, time has passed, and one save and two prunes came by. */
import * as fs from "node:fs";
import * as path from "node:path";
import { readMarks } from "../../lib/marks.ts";
import { readHistory } from "./history.ts";
import type { Pod } from "./pod.ts";
import { compactAfterLayers, longAgoMs, maxConcurrentSaves } from "./settings.ts";

/** Newest generations with different layers that are kept: two; and a few that only condemn. */
const mostGenerations = 10;

/** Sets the times of everything in a directory back, so that nobody has to wait until it is old. */
export function letTimePass(dir: string): void {
  const entries = fs.readdirSync(dir, { recursive: true, encoding: "utf8" });
  for (const place of [dir, ...entries.map((entry) => path.join(dir, entry))]) {
    const olderS = (fs.lstatSync(place).mtimeMs - longAgoMs) / 1000;
    fs.utimesSync(place, olderS, olderS);
  }
}

export interface StoreLeftovers {
  /** In sentences, what the store should not hold any more. */
  readonly problems: readonly string[];
  /** Places among those that save, of the dead: each stays until somebody finds no other one free. */
  readonly deadPlaces: number;
}

export async function storeLeftovers(storeDir: string, keys: readonly string[]): Promise<StoreLeftovers> {
  const nativeDir = path.join(storeDir, "native");
  const leasesDir = path.join(nativeDir, "leases");
  const known = new Set(["format.json", "leases", ...keys]);
  const places = list(leasesDir).filter((name) => name !== "incoming");
  const ofCaches = await Promise.all(
    keys.map(async (key) => (await cacheLeftovers(storeDir, key)).map((problem) => `${key}/${problem}`)),
  );
  return {
    problems: [
      ...list(nativeDir).filter((name) => !known.has(name)),
      ...(places.length > maxConcurrentSaves ? places.map((name) => `leases/${name}`) : []),
      ...list(path.join(leasesDir, "incoming")).map((name) => `leases/incoming/${name}`),
      ...ofCaches.flat(),
    ].map((problem) => `${problem} is left`),
    deadPlaces: places.length,
  };
}

async function cacheLeftovers(storeDir: string, name: string): Promise<string[]> {
  const dir = path.join(storeDir, "native", name);
  const { store, key, generations } = await readHistory(storeDir, name);
  const lists = generations.flatMap((read) =>
    read.kind === "valid" ? [read.generation.manifest.layers.map((layer) => layer.name)] : []
  );
  const named = new Set(lists.flat());
  const stored = new Set((await store.layers(key)).map((layer) => layer.name));
  const served = (await readMarks(store, key)).filter((mark) => {
    if (mark.kind === "candidates") return !mark.layers.some((layer) => stored.has(layer));
    // No server dies of a cache here.
    return mark.kind === "suspect" || !named.has(mark.layer);
  });
  const newest = lists[0]?.length ?? 0;
  return [
    ...list(dir).filter((entry) => entry === "lease.json"),
    ...list(path.join(dir, "incoming")).map((entry) => `incoming/${entry}`),
    ...[...stored].filter((layer) => !named.has(layer)).map((layer) =>
      `layers/${layer}, which nobody names,`
    ),
    ...served.map((mark) => `marks/${mark.name}, which has served,`),
    ...(generations.length > mostGenerations ? [`a history of ${generations.length} generations`] : []),
    ...(newest > compactAfterLayers + 1 ? [`a newest generation of ${newest} layers`] : []),
  ];
}

/** Records of what a pod restored that were not finished. */
export function unfinishedRecords({ workDir }: Pod): string[] {
  return fs.readdirSync(workDir, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".tmp")).map((name) => path.join(workDir, name));
}

function list(dir: string): string[] {
  return fs.existsSync(dir) ? fs.readdirSync(dir).sort() : [];
}
