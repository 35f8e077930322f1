/** The cache key: which pods may share compile artifacts. Pure but for the digest. */
import { sha256Hex } from "./crypto.ts";
import { canonicalJson, type JsonValue } from "./canonical_json.ts";
import { quoteShort } from "./entry_rules.ts";
import type { Environment } from "./environment.ts";
import { CacheError } from "./errors.ts";
import { namePattern } from "./names.ts";

declare const cacheKeyBrand: unique symbol;

/** Names the directory of one cache in a store: a SHA-256 in hex, or what B10_CACHE_KEY pinned. */
export type CacheKey = string & { readonly [cacheKeyBrand]: true };

// What else lies beside the keys at the top of a store.
const reservedNames = new Set(["format.json", "leases"]);

/**
 * The key of an environment within a namespace. Any difference in either gives another key.
 * @param environment this pod's, or what a manifest says that another's was.
 */
export function computeKey(
  namespace: string,
  environment: Environment | Readonly<Record<string, JsonValue>>,
): CacheKey {
  const facts: { [key: string]: JsonValue } = { namespace, ...environment };
  return sha256Hex(canonicalJson(facts)) as CacheKey;
}

/** What may be the name of a key's directory. */
export function isKey(text: string): text is CacheKey {
  return namePattern.test(text) && !reservedNames.has(text);
}

/** @throws {CacheError} `bad_setting` for a name that cannot be a key. */
export function parseKey(text: string, setting: string): CacheKey {
  if (!isKey(text)) {
    throw new CacheError(
      "bad_setting",
      `Cannot use ${setting} ${
        quoteShort(text)
      } as a key must match ${namePattern.source} and not be one of ${[...reservedNames].join(", ")}`,
    );
  }
  return text;
}
