/** The store as a pod uses it: with the keys by which it signs and judges what is in it. Commands open it here alone. */
import type { Signatures } from "./signatures.ts";
import type { Store } from "./store.ts";
import { openOrCreateStore, openStore } from "./store/directory.ts";

type World = Parameters<typeof openOrCreateStore>[0];

/** @returns undefined where there is no store yet. @throws {CacheError} as `openStore` does. */
export async function openPodStore(
  world: World,
  dir: string,
  signatures: Signatures,
): Promise<Store | undefined> {
  const store = await openStore(world, dir);
  return store && { ...store, signatures };
}

/** @throws {CacheError} as `openOrCreateStore` does. */
export async function openOrCreatePodStore(
  world: World,
  dir: string,
  signatures: Signatures,
): Promise<Store> {
  return { ...await openOrCreateStore(world, dir), signatures };
}
