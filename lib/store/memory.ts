/** A store in memory, for tests: the same promises, no file system. */
import { createHash } from "node:crypto";
import { CacheError } from "../errors.ts";
import type { CacheKey } from "../key.ts";
import { type Store, useNoteIntervalMs } from "../store.ts";
import type { Clock, Random } from "../system.ts";

interface KeyContents {
  readonly generations: Map<number, Uint8Array>;
  readonly layers: Map<string, Uint8Array>;
}

export function memoryStore({ random, clock }: { random: Random; clock: Clock }): Store {
  const used = new Map<CacheKey, number>();
  const contents = new Map<CacheKey, KeyContents>();
  const at = (key: CacheKey): KeyContents => {
    const found = contents.get(key) ?? { generations: new Map(), layers: new Map() };
    contents.set(key, found);
    return found;
  };
  return {
    id: random.hex(16),
    keys: () => Promise.resolve([...contents.keys()].sort()),
    generationNumbers: (key) =>
      Promise.resolve([...contents.get(key)?.generations.keys() ?? []].sort((a, b) => a - b)),
    readGeneration: (key, n) => Promise.resolve(copyOf(contents.get(key)?.generations.get(n))),
    putGeneration: (key, n, bytes) => {
      const { generations } = at(key);
      if (generations.has(n)) return Promise.resolve("taken");
      generations.set(n, new Uint8Array(bytes));
      return Promise.resolve("put");
    },
    openLayer: (key, name) => {
      const layer = contents.get(key)?.layers.get(name);
      return Promise.resolve(
        layer && {
          bytes: layer.length,
          read: (offset, length) => {
            if (offset + length > layer.length) {
              return Promise.reject(
                new CacheError("bad_layer", `Layer ${name} ends at byte ${layer.length}`),
              );
            }
            return Promise.resolve(new Uint8Array(layer.subarray(offset, offset + length)));
          },
          [Symbol.asyncDispose]: () => Promise.resolve(),
        },
      );
    },
    beginLayer: (key) => {
      const parts: Uint8Array[] = [];
      return Promise.resolve({
        write: (bytes) => {
          parts.push(new Uint8Array(bytes));
          return Promise.resolve();
        },
        publish: () => {
          const layer = Buffer.concat(parts);
          const name = `${createHash("sha256").update(layer).digest("hex")}-${random.hex(16)}.tar.zst`;
          at(key).layers.set(name, layer);
          return Promise.resolve(name);
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      });
    },
    // An upload that is not published is nowhere.
    sweep: () => Promise.resolve(),
    noteUse: (key) => {
      if (clock.nowMs() - (used.get(key) ?? 0) >= useNoteIntervalMs) used.set(key, clock.nowMs());
      return Promise.resolve();
    },
    lastUseMs: (key) => Promise.resolve(used.get(key)),
    freeBytes: () => Promise.resolve(Number.MAX_SAFE_INTEGER),
  };
}

/** Not slice(), which for a Buffer is a view of the same memory. */
function copyOf(bytes: Uint8Array | undefined): Uint8Array | undefined {
  return bytes && new Uint8Array(bytes);
}
