/** A cache of the store as it lies there, read with the program's own modules. */
import { lookAt, type ReadGeneration, readGeneration } from "../../lib/history.ts";
import { type CacheKey, parseKey } from "../../lib/key.ts";
import type { Store } from "../../lib/store.ts";
import { openStore } from "../../lib/store/directory.ts";
import { realSystem } from "../../lib/system/real.ts";

export interface StoredHistory {
  readonly store: Store;
  readonly key: CacheKey;
  /** The newest first. */
  readonly generations: readonly ReadGeneration[];
}

/** @throws {Error} where there is no store, or the share fails */
export async function readHistory(storeDir: string, name: string): Promise<StoredHistory> {
  const store = await openStore(realSystem(), storeDir);
  if (!store) throw new Error(`There is no store in ${storeDir}`);
  const key = parseKey(name, "key");
  const generations: ReadGeneration[] = [];
  for (const n of (await lookAt(store, key)).numbers) generations.push(await readGeneration(store, key, n));
  return { store, key, generations };
}
