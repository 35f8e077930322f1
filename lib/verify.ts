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
  /** What is wrong with the newest generation, in sentences; empty where it is as it should be. */
  readonly problems: readonly string[];
  /** How many of these, the first ones, are generations that no trusted key has signed; absent for none. */
  readonly untrusted?: number;
  /** The keys that signed the newest generation; absent where it is not signed. */
  readonly signedBy?: readonly string[];
  /** What is wrong with older ones: nobody loads them as long as the newest is in order. */
  readonly supersededProblems: readonly string[];
  /** Older ones that no trusted key has signed, in sentences: after a rotation they are the old key's, and not damaged. */
  readonly supersededUntrusted: readonly string[];
}

/** How many layers are read at once: each decodes two frames at a time, on the runtime's threads. */
const layersInFlight = 2;

/**
 * Damaged layers of a newest generation are marked where the store can be written to, so that the next save heals it.
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
  readonly burned: readonly Wrong[];
  readonly untrusted: readonly Wrong[];
}

/** A number that holds no generation, or none that counts. */
interface Wrong {
  readonly n: number;
  readonly problem: string;
}

async function takeInventory(store: Store, key: CacheKey): Promise<Inventory> {
  const generations: Generation[] = [];
  const layers = new Map<string, Layer>();
  const burned: Wrong[] = [];
  const untrusted: Wrong[] = [];
  for (const n of (await lookAt(store, key)).numbers) {
    const read = await readGeneration(store, key, n);
    switch (read.kind) {
      case "valid":
        generations.push(read.generation);
        // Should two generations differ about a layer, the newer one's word is what a load goes by.
        for (const layer of read.generation.manifest.layers) {
          if (!layers.has(layer.name)) layers.set(layer.name, layer);
        }
        break;
      case "burned":
        burned.push({ n, problem: `generation ${n} is not valid: ${read.problem}` });
        break;
      case "untrusted":
        untrusted.push({ n, problem: `generation ${n} is not trusted: ${read.problem}` });
        break;
      case "gone":
        break;
      default:
        read satisfies never;
    }
  }
  return { key, generations, layers: [...layers.values()], burned, untrusted };
}

async function verifyCache(
  work: Verification,
  inventory: Inventory,
  onBytes: (bytes: number) => void,
): Promise<VerifiedCache> {
  const { key, generations, layers, burned, untrusted } = inventory;
  const damaged = await stillNamed(work.store, key, await readAll(work, inventory, onBytes));
  const [newest] = generations;
  const named = new Set(newest?.manifest.layers.map(({ name }) => name));
  for (const { name } of damaged) if (named.has(name)) await markBadLayer(work.store, key, name);
  const isNew = ({ n }: { n: number }) => n > (newest?.manifest.n ?? 0);
  const newUntrusted = untrusted.filter(isNew).map(({ problem }) => problem);
  const problems = [
    ...newUntrusted,
    ...burned.filter(isNew).map(({ problem }) => problem),
    ...damaged.filter(({ name }) => named.has(name)).map(({ problem }) => problem),
  ];
  // Layers that are whole each by itself may contradict each other.
  if (newest && problems.length === newUntrusted.length) {
    problems.push(...await contradictionsIn(work.store, key, newest));
  }
  return {
    key,
    generations: generations.length,
    layers: layers.length,
    files: layers.reduce((sum, layer) => sum + layer.files, 0),
    bytes: rawBytes(layers),
    problems,
    ...(newUntrusted.length > 0 ? { untrusted: newUntrusted.length } : {}),
    ...(newest?.signedBy ? { signedBy: newest.signedBy } : {}),
    supersededUntrusted: untrusted.filter((one) => !isNew(one)).map(({ problem }) => problem),
    supersededProblems: [
      ...burned.filter((one) => !isNew(one)).map(({ problem }) => problem),
      ...damaged.filter(({ name }) => !named.has(name)).map(({ problem }) => problem),
    ],
  };
}

/** @returns what is wrong, by the layer's name. */
async function readAll(
  work: Verification,
  { key, layers }: Inventory,
  onBytes: (bytes: number) => void,
): Promise<ReadonlyMap<string, string>> {
  const damaged = new Map<string, string>();
  const waiting = [...layers];
  const readSome = async () => {
    for (let layer = waiting.shift(); layer; layer = waiting.shift()) {
      const problem = await problemOf(work, { key, layer, onBytes });
      if (problem !== undefined) damaged.set(layer.name, problem);
    }
  };
  await Promise.all(Array.from({ length: layersInFlight }, readSome));
  return damaged;
}

interface DamagedLayer {
  readonly name: string;
  readonly problem: string;
}

/** A prune may have removed meanwhile what nobody needs any more. */
async function stillNamed(
  store: Store,
  key: CacheKey,
  damaged: ReadonlyMap<string, string>,
): Promise<DamagedLayer[]> {
  if (damaged.size === 0) return [];
  const { layers } = await takeInventory(store, key);
  return layers.flatMap(({ name }) => {
    const problem = damaged.get(name);
    return problem === undefined ? [] : [{ name, problem }];
  });
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
    return messageOf(error);
  }
}

async function contradictionsIn(store: Store, key: CacheKey, { manifest }: Generation): Promise<string[]> {
  try {
    await using _ = await openLayers(store, key, manifest);
    return [];
  } catch (error) {
    if (!isBadLayer(error)) throw error;
    // A prune may have removed it meanwhile, and its layers after it.
    if ((await readGeneration(store, key, manifest.n)).kind === "gone") return [];
    return [`generation ${manifest.n}: ${messageOf(error)}`];
  }
}

function rawBytes(layers: readonly Layer[]): number {
  return layers.reduce((sum, layer) => sum + layer.raw_bytes, 0);
}
