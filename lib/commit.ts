/** The next generation of a key: what it says, and putting it. */
import type { Base } from "./base.ts";
import { CacheError } from "./errors.ts";
import {
  encodeGeneration,
  formatVersion,
  type Layer,
  type Manifest,
  maxGenerationNumber,
} from "./manifest.ts";
import { condemnedBy, type Head } from "./history.ts";
import type { CacheKey } from "./key.ts";
import { hasLayer } from "./layers.ts";
import type { Store } from "./store.ts";
import type { System } from "./system.ts";
import { versionLine } from "./version.ts";

/** What a commit changes about the cache; whatever it does not name is as in the generation before. */
export interface NextGeneration {
  readonly layers: readonly Layer[];
  readonly condemned?: readonly string[];
  /** What the pod that saved was. */
  readonly environment?: Manifest["environment"];
  readonly roots?: Manifest["roots"];
  /** Is kept with the first that has one. */
  readonly coldStartS?: number;
}

/**
 * Puts the number after the head. Whatever the answer, a fresh look at the store tells what came of it.
 * @throws {CacheError} `store_io`, after which it may have been put nevertheless.
 */
export async function putNext(
  system: Pick<System, "random" | "clock">,
  store: Store,
  { key, head, next }: { key: CacheKey; head: Head; next: NextGeneration },
): Promise<"put" | "taken"> {
  refuseUsedUpNumbers(key, head);
  const { signer, trusted } = store.signatures ?? {};
  if (trusted && !signer) refuseUnsigned(key);
  const parent = head.generation?.manifest;
  const manifest: Manifest = {
    format: formatVersion,
    store_id: store.id,
    key,
    environment: next.environment ?? parent?.environment ?? {},
    n: head.next,
    parent: head.generation ? { n: head.generation.manifest.n, sha256: head.generation.sha256 } : null,
    nonce: system.random.hex(16),
    created_at: new Date(system.clock.nowMs()).toISOString(),
    written_by: versionLine,
    roots: { ...next.roots, ...parent?.roots },
    layers: [...next.layers],
    condemned: [...next.condemned ?? condemnedBy(head)],
    cold_start: parent?.cold_start ?? next.coldStartS ?? null,
  };
  return await store.putGeneration(key, head.next, encodeGeneration(manifest, { signer }).bytes);
}

/** Nobody who demands what this pod demands would load it. @throws {CacheError} `bad_setting` */
function refuseUnsigned(key: CacheKey): never {
  throw new CacheError(
    "bad_setting",
    `Cannot commit to ${key} as B10_CACHE_TRUSTED_KEYS_FILE demands signatures: set B10_CACHE_SIGNING_KEY_FILE`,
  );
}

/** Ten thousand million saves, or a stray file of the last number. @throws {CacheError} `bad_manifest` */
function refuseUsedUpNumbers(key: CacheKey, { next }: Head): void {
  if (next <= maxGenerationNumber) return;
  throw new CacheError(
    "bad_manifest",
    `Cannot save ${key} as its last generation number, ${maxGenerationNumber}, is taken; remove the directory ` +
      "of this key from the store",
  );
}

export function storedBytes(layers: readonly Pick<Layer, "bytes">[]): number {
  return layers.reduce((sum, layer) => sum + layer.bytes, 0);
}

/**
 * A layer may be named by the next generation.
 * @returns false where this head condemns it, or it is no longer in the store.
 */
export async function mayBeNamed(
  store: Store,
  key: CacheKey,
  { name, base }: { name: string; base: Base },
): Promise<boolean> {
  if (condemnedBy(base.head).includes(name)) return false;
  return await hasLayer(store, key, name);
}
