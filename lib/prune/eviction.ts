/** Evicting caches that are out of use: an empty generation is committed, and its layers are garbage from then on. */
import { putNext, storedBytes } from "../commit.ts";
import { findHead, type Head } from "../history.ts";
import type { CacheKey } from "../key.ts";
import { cachesToEvict, type CacheUsage } from "../prune_policy.ts";
import { nowMs, type Prune, wouldDropSignatures } from "./work.ts";

interface Used extends CacheUsage {
  readonly head: Head;
}

/** @returns what was evicted, or in a dry run would be. */
export async function evictUnused(work: Prune, keys: readonly CacheKey[]): Promise<ReadonlySet<CacheKey>> {
  const caches: Used[] = [];
  for (const key of keys) {
    const used = await usageOf(work, key);
    if (used) caches.push(used);
  }
  const due = new Set(cachesToEvict(caches, work.policy).map(({ key }) => key));
  const evicted = new Set<CacheKey>();
  for (const { key, head } of caches) {
    if (due.has(key) && (work.dryRun || await evict(work, key, head))) evicted.add(key);
  }
  return evicted;
}

/** @returns undefined where there is nothing to evict. */
async function usageOf(work: Prune, key: CacheKey): Promise<Used | undefined> {
  const { store } = work;
  const head = await findHead(store, key);
  const layers = head.generation?.manifest.layers ?? [];
  if (layers.length === 0 || wouldDropSignatures(store, head.generation ? [head.generation] : [])) {
    return undefined;
  }
  const named = new Set(layers.map((layer) => layer.name));
  const savedMs = (await store.layers(key)).filter(({ name }) => named.has(name)).map(({ madeMs }) => madeMs);
  const usedMs = Math.max(await store.lastUseMs(key) ?? 0, ...savedMs);
  return { key, head, storedBytes: storedBytes(layers), idleMs: await nowMs(work, key) - usedMs };
}

/** Evicting is committing an empty generation. @returns false where the cache was saved anew meanwhile. */
async function evict({ system, store }: Prune, key: CacheKey, decided: Head): Promise<boolean> {
  const head = await findHead(store, key);
  if (head.generation?.sha256 !== decided.generation?.sha256) return false;
  await putNext(system, store, { key, head, next: { layers: [] } });
  return (await findHead(store, key)).generation?.manifest.layers.length === 0;
}
