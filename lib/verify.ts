/** Verify: reads everything back that a cache's generations name, and says what is wrong. */
import { isBadLayer, messageOf } from "./errors.ts";
import { lookAt, readGeneration } from "./history.ts";
import type { CacheKey } from "./key.ts";
import { openLayers } from "./layers.ts";
import type { Generation, Layer } from "./manifest.ts";
import { markBadLayer } from "./marks.ts";
import type { Store } from "./store.ts";
import { verifyLayer } from "./verify_layer.ts";

export interface Verification {
  readonly store: Store;
  readonly keys: readonly CacheKey[];
  readonly signal: AbortSignal;
  /** So many of so many raw bytes are read. */
  readonly progress: (done: number, total: number) => void;
}

export interface VerifiedCache {
  readonly key: CacheKey;
  /** Valid ones. */
  readonly generations: number;
  readonly layers: number;
  readonly files: number;
  readonly bytes: number;
  /** What is wrong, in sentences; empty where everything is as it should be. */
  readonly problems: readonly string[];
}

/** How many layers are read at once: each decodes two frames at a time, on the runtime's threads. */
const layersInFlight = 2;

/**
 * Damaged layers are marked where the store can be written to, so that the next save heals the cache.
 * @throws {CacheError} `store_io` where the share fails: that is not the same as damage.
 */
export async function verify(work: Verification): Promise<VerifiedCache[]> {
  const inventories: Inventory[] = [];
  for (const key of work.keys) inventories.push(await takeInventory(work.store, key));
  const total = inventories.reduce((sum, { layers }) => sum + rawBytes(layers), 0);
  let done = 0;
  const onBytes = (bytes: number) => work.progress(done += bytes, total);
  const verified: VerifiedCache[] = [];
  for (const inventory of inventories) verified.push(await verifyCache(work, inventory, onBytes));
  return verified;
}

/** What the generations of one key claim. */
interface Inventory {
  readonly key: CacheKey;
  /** Valid ones, the newest first. */
  readonly generations: readonly Generation[];
  readonly layers: readonly Layer[];
  readonly problems: readonly string[];
}

async function takeInventory(store: Store, key: CacheKey): Promise<Inventory> {
  const generations: Generation[] = [];
  const layers = new Map<string, Layer>();
  const problems: string[] = [];
  for (const n of (await lookAt(store, key)).numbers) {
    const read = await readGeneration(store, key, n);
    switch (read.kind) {
      case "valid":
        generations.push(read.generation);
        for (const layer of read.generation.manifest.layers) layers.set(layer.name, layer);
        break;
      case "burned":
        problems.push(`generation ${n} is not valid: ${read.problem}`);
        break;
      case "gone":
        break;
      default:
        read satisfies never;
    }
  }
  return { key, generations, layers: [...layers.values()], problems };
}

async function verifyCache(
  work: Verification,
  inventory: Inventory,
  onBytes: (bytes: number) => void,
): Promise<VerifiedCache> {
  const { key, generations, layers } = inventory;
  const damaged = new Map<string, string>();
  const waiting = [...layers];
  const readSome = async () => {
    for (let layer = waiting.shift(); layer; layer = waiting.shift()) {
      const problem = await problemOf(work, { key, layer, onBytes });
      if (problem !== undefined) damaged.set(layer.name, problem);
    }
  };
  await Promise.all(Array.from({ length: layersInFlight }, readSome));
  const problems = [...inventory.problems, ...await stillNamed(work.store, key, damaged)];
  // Layers that are whole each by itself may contradict each other.
  if (problems.length === 0) {
    for (const { manifest } of generations) {
      const problem = await contradictionIn(work.store, key, manifest.layers);
      if (problem !== undefined) problems.push(`generation ${manifest.n}: ${problem}`);
    }
  }
  return {
    key,
    generations: generations.length,
    layers: layers.length,
    files: layers.reduce((sum, layer) => sum + layer.files, 0),
    bytes: rawBytes(layers),
    problems: problems.sort(),
  };
}

/** A prune may have removed meanwhile what nobody needs any more. */
async function stillNamed(
  store: Store,
  key: CacheKey,
  damaged: ReadonlyMap<string, string>,
): Promise<string[]> {
  if (damaged.size === 0) return [];
  const { layers } = await takeInventory(store, key);
  return layers.flatMap(({ name }) => damaged.get(name) ?? []);
}

async function problemOf(
  { store, signal }: Verification,
  { key, layer, onBytes }: { key: CacheKey; layer: Layer; onBytes: (bytes: number) => void },
): Promise<string | undefined> {
  try {
    await verifyLayer(store, key, layer, { signal, onBytes });
    return undefined;
  } catch (error) {
    if (!isBadLayer(error)) throw error;
    await markBadLayer(store, key, layer.name);
    return messageOf(error);
  }
}

async function contradictionIn(
  store: Store,
  key: CacheKey,
  layers: readonly Layer[],
): Promise<string | undefined> {
  try {
    await using _ = await openLayers(store, key, { layers });
    return undefined;
  } catch (error) {
    if (!isBadLayer(error)) throw error;
    return messageOf(error);
  }
}

function rawBytes(layers: readonly Layer[]): number {
  return layers.reduce((sum, layer) => sum + layer.raw_bytes, 0);
}
