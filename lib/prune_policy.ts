/** Which caches a prune evicts: the least recently used first. Pure. */
import type { CacheKey } from "./key.ts";

export interface PrunePolicy {
  /** Caches that nobody saved or restored for longer are evicted. */
  readonly maxAgeMs?: number;
  /** The least recently used caches are evicted until the others have at most this many bytes, stored. */
  readonly maxTotalBytes?: number;
  /** So many newest generations with different layers are kept of each cache. */
  readonly keepLast?: number;
}

/** Fewer would leave a damaged newest generation without one to fall back to. */
export const leastKept = 2;

export interface CacheUsage {
  readonly key: CacheKey;
  /** Of the layers of its newest generation. */
  readonly storedBytes: number;
  /** Since it was last saved or restored. */
  readonly idleMs: number;
}

/** @returns the caches to evict, the longest unused first. */
export function cachesToEvict(caches: readonly CacheUsage[], policy: PrunePolicy): CacheUsage[] {
  const { maxAgeMs = Infinity, maxTotalBytes = Infinity } = policy;
  const byIdle = [...caches].sort((a, b) => b.idleMs - a.idleMs);
  let total = caches.reduce((sum, cache) => sum + cache.storedBytes, 0);
  return byIdle.filter(({ idleMs, storedBytes }) => {
    if (idleMs <= maxAgeMs && total <= maxTotalBytes) return false;
    total -= storedBytes;
    return true;
  });
}
