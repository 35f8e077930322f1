/** What a prune is given. */
import type { Config } from "../config.ts";
import type { CacheKey } from "../key.ts";
import type { Generation } from "../manifest.ts";
import type { PrunePolicy } from "../prune_policy.ts";
import type { Store } from "../store.ts";
import type { System } from "../system.ts";

export interface Prune {
  readonly system: Pick<System, "clock" | "random">;
  readonly config: Config;
  readonly store: Store;
  readonly policy: PrunePolicy;
  /** Say what would be done, and write nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly notice: (text: string) => void;
}

/** A dry run writes nothing, so that it has only this machine's clock. */
export async function nowMs({ store, system, dryRun }: Prune, key: CacheKey): Promise<number> {
  return dryRun ? system.clock.nowMs() : await store.nowMs(key);
}

/**
 * Readers that demand signatures pass over an unsigned head and load the signed one below it, which a prune without a key
 * would take for superseded: it leaves such a cache alone.
 */
export function wouldDropSignatures({ signatures }: Store, generations: readonly Generation[]): boolean {
  return !signatures?.signer && generations.some(({ signedBy }) => signedBy !== undefined);
}
