/** I1 and I3, by reading: every generation that the store has, against what the pods wrote and were told. */
import { pathConflicts, type Plan, splitRoot } from "../../lib/archive.ts";
import { messageOf } from "../../lib/errors.ts";
import { openLayers } from "../../lib/layers.ts";
import type { Layer, Manifest } from "../../lib/manifest.ts";
import { verifyLayer } from "../../lib/verify_layer.ts";
import { fileLine } from "../snapshot.ts";
import { readHistory, type StoredHistory } from "./history.ts";
import type { Journal } from "./journal.ts";
import type { Cache } from "./pod.ts";
import type { Verdict } from "./verdict.ts";
import type { World } from "./world.ts";

/** What a check looked at. */
export interface Looked {
  readonly generations: number;
  readonly layers: number;
  readonly files: number;
}

/** The cache is as it should be, in every number but those of `except`. */
export async function checkHistory(
  { storeDir, verdict }: World,
  cache: Cache,
  except: ReadonlySet<number>,
): Promise<Looked> {
  const history = await readHistory(storeDir, cache.key);
  const layers = new Map<string, Layer>();
  let files = 0;
  const generations = history.generations.filter(({ n }) => !except.has(n));
  for (const read of generations) {
    if (read.kind !== "valid") {
      verdict.fail("I1", `generation ${read.n} of ${cache.key} is ${read.kind}`);
      continue;
    }
    const { manifest } = read.generation;
    for (const layer of manifest.layers) layers.set(layer.name, layer);
    files += await checkGeneration(verdict, history, { cache, manifest });
  }
  for (const layer of layers.values()) await checkLayer(verdict, history, layer);
  return { generations: generations.length, layers: layers.size, files };
}

/** @returns how many files it has. */
async function checkGeneration(
  verdict: Verdict,
  { store, key }: StoredHistory,
  { cache, manifest }: { cache: Cache; manifest: Manifest },
): Promise<number> {
  const where = `generation ${manifest.n} of ${key}`;
  try {
    await using opened = await openLayers(store, key, manifest);
    const lines = linesOf(opened.plan);
    for (const [name, line] of lines) {
      if (cache.journal.hasWritten(name, line)) continue;
      verdict.fail("I1", `${where} has ${name} as nobody wrote it: ${line}`);
    }
    const broken = brokenPromises(cache.journal, manifest.n, lines);
    verdict.failAll("I3", broken.map((promise) => `${where} lacks ${promise}`));
    return lines.size;
  } catch (error) {
    verdict.fail("I1", `${where}: ${messageOf(error)}`);
    return 0;
  }
}

/** As ../snapshot.ts tells of a directory. */
function linesOf(plan: Plan): ReadonlyMap<string, string> {
  return new Map(
    [...plan.values()].map(({ path, mode, mtime, sha256 }) => [
      splitRoot(path)[1],
      fileLine({ mode, mtimeNs: BigInt(mtime), sha256 }),
    ]),
  );
}

function brokenPromises(journal: Journal, n: number, lines: ReadonlyMap<string, string>): string[] {
  const isInTheWay = (name: string) =>
    pathConflicts(new Set([...lines.keys(), name])).some(({ file, below }) =>
      file === name || below === name
    );
  return journal.brokenPromises(n, (name) => lines.has(name) || isInTheWay(name));
}

async function checkLayer(verdict: Verdict, { store, key }: StoredHistory, layer: Layer): Promise<void> {
  try {
    await verifyLayer(store, key, layer, { signal: new AbortController().signal, onBytes: () => {} });
  } catch (error) {
    verdict.fail("I1", messageOf(error));
  }
}
