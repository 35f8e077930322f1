/** Prune: whole caches that are out of use, superseded generations, layers that nobody names. */
import type { CacheKey } from "./key.ts";
import { evictUnused } from "./prune/eviction.ts";
import { collect, type Collected } from "./prune/garbage.ts";
import type { Prune } from "./prune/work.ts";
import type { Store } from "./store.ts";

/** What became of one cache. */
export interface PrunedCache extends Collected {
  readonly key: CacheKey;
  readonly evicted: boolean;
}

/** @throws {CacheError} `store_io`; what was done until then is done, and the next prune goes on. */
export async function prune(work: Prune): Promise<PrunedCache[]> {
  const keys = await work.store.keys();
  const evicted = await evictUnused(work, keys);
  const pruned: PrunedCache[] = [];
  for (const key of keys) {
    const collected = await collect(work, key);
    // A dry run leaves the layers of an evicted cache their names.
    const waiting = work.dryRun && evicted.has(key)
      ? await storedBytesOf(work.store, key) - collected.bytesFreed
      : collected.bytesWaiting;
    pruned.push({ ...collected, evicted: evicted.has(key), bytesWaiting: waiting });
  }
  return pruned;
}

async function storedBytesOf(store: Store, key: CacheKey): Promise<number> {
  return (await store.layers(key)).reduce((sum, layer) => sum + layer.bytes, 0);
}
