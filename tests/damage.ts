/** Stores whose bytes are wrong. */
import { CacheError } from "../lib/errors.ts";
import type { LayerFile, Store } from "../lib/store.ts";

/** What a store's files hold for a reader, while the test says so. */
export class Damage {
  layer: (bytes: Uint8Array, name: string) => Uint8Array | undefined = (bytes) => bytes;
  generation: (bytes: Uint8Array, n: number) => Uint8Array | undefined = (bytes) => bytes;

  on(store: Store): Store {
    return {
      ...store,
      readGeneration: async (key, n) => {
        const bytes = await store.readGeneration(key, n);
        return bytes && this.generation(bytes, n);
      },
      openLayer: async (key, name) => {
        const file = await store.openLayer(key, name);
        const bytes = file && this.layer(await file.read(0, file.bytes), name);
        return bytes && layerOf(bytes);
      },
    };
  }
}

/** The store in which a byte of each of these layers is wrong, for good. */
export function withRotten(store: Store, ...names: readonly (string | undefined)[]): Store {
  const damage = new Damage();
  damage.layer = (bytes, name) => names.includes(name) ? flipped(bytes, 0) : bytes;
  return damage.on(store);
}

function layerOf(bytes: Uint8Array): LayerFile {
  return {
    bytes: bytes.length,
    read: (offset, length) =>
      offset + length <= bytes.length
        ? Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length)))
        : Promise.reject(new CacheError("bad_layer", "it ends before")),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** `bytes` with one bit of the byte at `at` turned; another bit for each byte. */
export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  // Not slice(): a Buffer's shares its memory.
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << at % 8);
  return copy;
}

/** Every way in which one byte can be wrong, or the end missing; or those at each `step` bytes. */
export function* damages(length: number, step = 1): Generator<(bytes: Uint8Array) => Uint8Array> {
  for (let at = 0; at < length; at += step) {
    yield (bytes) => flipped(bytes, at);
    yield (bytes) => bytes.slice(0, at);
  }
  yield (bytes) => Buffer.concat([bytes, new Uint8Array(1)]);
}
