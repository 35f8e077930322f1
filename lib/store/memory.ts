/** A store in memory, for tests: the same promises, no file system. */
import { sha256Hex } from "../crypto.ts";
import { CacheError } from "../errors.ts";
import type { CacheKey } from "../key.ts";
import {
  type HeldLease,
  type LayerFile,
  type LayerUpload,
  type LeasePlace,
  type Leases,
  maxMarks,
  type Store,
  useNoteIntervalMs,
} from "../store.ts";
import type { Clock, Random } from "../system.ts";

interface Stored {
  readonly bytes: Uint8Array;
  readonly madeMs: number;
}

interface KeyContents {
  readonly generations: Map<number, Stored>;
  readonly layers: Map<string, Stored>;
  readonly marks: Map<string, Stored>;
}

/** @param clock is the store's own clock too. */
export function memoryStore({ random, clock }: { random: Random; clock: Clock }): Store {
  const used = new Map<CacheKey, number>();
  const contents = new Map<CacheKey, KeyContents>();
  const at = (key: CacheKey): KeyContents => {
    const found = contents.get(key) ?? { generations: new Map(), layers: new Map(), marks: new Map() };
    contents.set(key, found);
    return found;
  };
  const stored = (bytes: Uint8Array): Stored => ({ bytes: new Uint8Array(bytes), madeMs: clock.nowMs() });
  return {
    id: random.hex(16),
    keys: () => Promise.resolve([...contents.keys()].sort()),
    generationNumbers: (key) =>
      Promise.resolve([...contents.get(key)?.generations.keys() ?? []].sort((a, b) => a - b)),
    readGeneration: (key, n) => Promise.resolve(copyOf(contents.get(key)?.generations.get(n)?.bytes)),
    generationMadeMs: (key, n) => Promise.resolve(contents.get(key)?.generations.get(n)?.madeMs),
    putGeneration: (key, n, bytes) => {
      const { generations } = at(key);
      if (generations.has(n)) return Promise.resolve("taken");
      generations.set(n, stored(bytes));
      return Promise.resolve("put");
    },
    removeGenerations: (key, numbers) => {
      for (const n of numbers) at(key).generations.delete(n);
      return Promise.resolve();
    },
    layers: (key) =>
      Promise.resolve(
        [...contents.get(key)?.layers ?? []].map(([name, { bytes, madeMs }]) => ({
          name,
          bytes: bytes.length,
          madeMs,
        })).sort((a, b) => (a.name < b.name ? -1 : 1)),
      ),
    openLayer: (key, name) => {
      const layer = contents.get(key)?.layers.get(name);
      return Promise.resolve(layer && layerFile(name, layer.bytes));
    },
    beginLayer: (key) =>
      Promise.resolve(
        layerUpload((layer) => {
          const name = `${sha256Hex(layer)}-${random.hex(16)}.tar.zst`;
          at(key).layers.set(name, stored(layer));
          return name;
        }),
      ),
    removeLayer: (key, name) => {
      at(key).layers.delete(name);
      return Promise.resolve();
    },
    marks: (key) =>
      Promise.resolve(
        [...contents.get(key)?.marks ?? []].slice(0, maxMarks).map(([name, { bytes, madeMs }]) => ({
          name,
          bytes: new Uint8Array(bytes),
          madeMs,
        })),
      ),
    putMark: (key, bytes) => {
      at(key).marks.set(`${random.hex(16)}.json`, stored(bytes));
      return Promise.resolve();
    },
    removeMark: (key, name) => {
      at(key).marks.delete(name);
      return Promise.resolve();
    },
    // An upload that is not published is nowhere.
    sweep: () => Promise.resolve(),
    noteUse: (key) => {
      if (clock.nowMs() - (used.get(key) ?? 0) >= useNoteIntervalMs) used.set(key, clock.nowMs());
      return Promise.resolve();
    },
    lastUseMs: (key) => Promise.resolve(used.get(key)),
    nowMs: () => Promise.resolve(clock.nowMs()),
    freeBytes: () => Promise.resolve(Number.MAX_SAFE_INTEGER),
    leases: memoryLeases(random),
  };
}

function layerFile(name: string, layer: Uint8Array): LayerFile {
  return {
    bytes: layer.length,
    read: (offset, length) =>
      offset + length > layer.length
        ? Promise.reject(new CacheError("bad_layer", `Layer ${name} ends at byte ${layer.length}`))
        : Promise.resolve(new Uint8Array(layer.subarray(offset, offset + length))),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function layerUpload(publish: (layer: Uint8Array) => string): LayerUpload {
  const parts: Uint8Array[] = [];
  return {
    write: (bytes) => {
      parts.push(new Uint8Array(bytes));
      return Promise.resolve();
    },
    publish: () => Promise.resolve(publish(Buffer.concat(parts))),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function memoryLeases(random: Random): Leases {
  const held = new Map<string, { content: string }>();
  const nameOf = (place: LeasePlace) => JSON.stringify(place);
  return {
    take: (place, holder) => {
      const name = nameOf(place);
      if (held.has(name)) return Promise.resolve(undefined);
      const lease = { content: `${JSON.stringify({ nonce: random.hex(16), holder })}\n` };
      held.set(name, lease);
      const taken: HeldLease = {
        beat: () => {
          lease.content += ".";
          return Promise.resolve();
        },
        [Symbol.asyncDispose]: () => {
          if (held.get(name) === lease) held.delete(name);
          return Promise.resolve();
        },
      };
      return Promise.resolve(taken);
    },
    look: (place) => Promise.resolve(held.get(nameOf(place))?.content),
    free: (place, content) => {
      const name = nameOf(place);
      if (held.get(name)?.content === content) held.delete(name);
      return Promise.resolve();
    },
  };
}

/** Not slice(), which for a Buffer is a view of the same memory. */
function copyOf(bytes: Uint8Array | undefined): Uint8Array | undefined {
  return bytes && new Uint8Array(bytes);
}
