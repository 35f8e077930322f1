/** Have a server's caches gone quiet? Kernels go on arriving after it is ready. */
import type { CacheRoot } from "./roots.ts";
import { isUnchanged, type Snapshot, takeSnapshot } from "./snapshot.ts";
import type { System } from "./system.ts";

/** A walk over 14,000 files takes a fifth of a second of one core. */
const lookEveryMs = 1_000;

export interface QuietWait {
  /** No file may have changed for this long. */
  readonly quietMs: number;
  /** After this it is as quiet as it gets. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Looks until no cache file has changed for a while, or the time is over.
 * @returns what is there then.
 * @throws the signal's reason; {CacheError} `local_io`
 */
export async function waitUntilQuiet(
  { fs, clock }: Pick<System, "fs" | "clock">,
  roots: readonly CacheRoot[],
  { quietMs, timeoutMs, signal }: QuietWait,
): Promise<Snapshot> {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  let seen = await takeSnapshot(fs, roots);
  let sinceMs = clock.monotonicMs();
  for (;;) {
    const nowMs = clock.monotonicMs();
    const leftMs = Math.min(sinceMs + quietMs, deadlineMs) - nowMs;
    if (leftMs <= 0) return seen;
    await clock.sleep(Math.min(lookEveryMs, leftMs), signal);
    const next = await takeSnapshot(fs, roots);
    if (!isUnchanged(seen, next)) sinceMs = clock.monotonicMs();
    seen = next;
  }
}
