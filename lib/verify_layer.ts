/** Reading a whole layer back: every digest that vouches for it. */
import { sha256Hex } from "./crypto.ts";
import { planLayers, readIndex, unpackLayer } from "./archive.ts";
import { CacheError } from "./errors.ts";
import type { CacheKey } from "./key.ts";
import type { Layer } from "./manifest.ts";
import type { Store } from "./store.ts";
import { quote } from "./text.ts";

/**
 * @param onBytes is told of the decoded bytes of each file.
 * @throws {CacheError} `bad_layer` or `bad_index` at the first thing that is wrong, naming the layer.
 */
export async function verifyLayer(
  store: Store,
  key: CacheKey,
  layer: Layer,
  { signal, onBytes }: { signal: AbortSignal; onBytes: (bytes: number) => void },
): Promise<void> {
  await using file = await store.openLayer(key, layer.name);
  if (!file) throw bad(layer, "it is not in the store");
  const contents = { layer, index: await readIndex(file, layer) };
  const files = [...planLayers([contents]).values()];
  await unpackLayer({ file, contents }, files, (planned, content) => {
    signal.throwIfAborted();
    requireDigest(planned, content);
    onBytes(content.length);
  });
}

/** The content is what its index says. @throws {CacheError} `bad_layer` */
export function requireDigest(
  { path, sha256, layer }: { path: string; sha256: string; layer: string },
  content: Uint8Array,
): void {
  if (sha256Hex(content) === sha256) return;
  throw new CacheError("bad_layer", `Cannot use layer ${layer} as ${quote(path)} has another SHA-256`, {
    layer,
  });
}

function bad({ name }: Layer, problem: string): CacheError {
  return new CacheError("bad_layer", `Cannot use layer ${name} as ${problem}`, { layer: name });
}
