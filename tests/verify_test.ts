import assert from "node:assert/strict";
import { test } from "node:test";
import type { SourceFile } from "../lib/archive.ts";
import { putNext } from "../lib/commit.ts";
import { CacheError } from "../lib/errors.ts";
import { findHead } from "../lib/history.ts";
import { type CacheKey, parseKey } from "../lib/key.ts";
import { encodeGeneration, type Layer, type Manifest } from "../lib/manifest.ts";
import { readMarks } from "../lib/marks.ts";
import type { Store } from "../lib/store.ts";
import { memoryStore } from "../lib/store/memory.ts";
import { type VerifiedCache, verify } from "../lib/verify.ts";
import {
  assemble,
  indexedFile,
  type LayerInMemory,
  pack,
  sha256Of,
  sourceFile,
  textBytes,
} from "./archive/examples.ts";
import { Damage, flipped, withRotten } from "./damage.ts";
import { atEveryCall, intercept, key, newWorld } from "./pods.ts";
import { cacheError, exampleManifest } from "./store/examples.ts";

const otherKey: CacheKey = parseKey("other-key", "key");

/** A cache in a store, and what is put into it by hand. */
class Cache {
  readonly #world = newWorld();
  readonly store: Store = memoryStore(this.#world);

  async publish({ bytes, layer }: LayerInMemory, at = key): Promise<Layer> {
    await using upload = await this.store.beginLayer(at);
    await upload.write(bytes);
    return { ...layer, name: await upload.publish() };
  }

  /** Commits exactly these layers. */
  async put(layers: readonly Layer[], at = key): Promise<void> {
    const head = await findHead(this.store, at);
    assert.equal(await putNext(this.#world, this.store, { key: at, head, next: { layers } }), "put");
  }

  /** Commits a layer of these files after those of the head. */
  async add(files: readonly SourceFile[], at = key): Promise<Layer> {
    const layer = await this.publish(await pack(files), at);
    const layers = (await findHead(this.store, at)).generation?.manifest.layers ?? [];
    await this.put([...layers, layer], at);
    return layer;
  }

  /** Puts a generation file that says this. */
  async putManifest(manifest: Partial<Manifest> & { readonly n: number }): Promise<void> {
    const whole = { parent: null, condemned: [], layers: [], ...manifest, store_id: this.store.id, key };
    await this.store.putGeneration(key, manifest.n, encodeGeneration(exampleManifest(whole)).bytes);
  }

  /** Takes a number with something that is no generation. */
  async burn(n: number): Promise<void> {
    await this.store.putGeneration(key, n, textBytes("torn"));
  }
}

/** Two generations: a layer of two files, and one more of one file. */
async function twoLayers(): Promise<{ cache: Cache; store: Store; first: Layer; second: Layer }> {
  const cache = new Cache();
  const first = await cache.add([sourceFile("r/a", "a"), sourceFile("r/b", "bb")]);
  const second = await cache.add([sourceFile("r/c", "ccc")]);
  return { cache, store: cache.store, first, second };
}

interface Options {
  readonly keys?: readonly CacheKey[];
  readonly signal?: AbortSignal;
  readonly progress?: (done: number, total: number) => void;
}

async function verifyAll(store: Store, options: Options = {}): Promise<VerifiedCache[]> {
  return await verify({
    store,
    keys: [key],
    signal: new AbortController().signal,
    progress: () => {},
    ...options,
  });
}

async function verifyOne(store: Store, options: Options = {}): Promise<VerifiedCache> {
  const [cache, ...more] = await verifyAll(store, options);
  assert.equal(more.length, 0);
  return cache ?? assert.fail("nothing was verified");
}

/** The layers that are marked as bad. */
async function markedIn(store: Store, at = key): Promise<string[]> {
  return (await readMarks(store, at)).flatMap((mark) => mark.kind === "bad_layer" ? [mark.layer] : []);
}

/** `store` without these layers. */
function without(store: Store, ...names: readonly string[]): Store {
  const damage = new Damage();
  damage.layer = (bytes, name) => names.includes(name) ? undefined : bytes;
  return damage.on(store);
}

function assertProblems(problems: readonly string[], expected: readonly RegExp[]): void {
  assert.equal(problems.length, expected.length, problems.join("\n"));
  for (const [at, pattern] of expected.entries()) assert.match(problems[at] ?? "", pattern);
}

const wrongDigest = (layer: Layer) =>
  new RegExp(`^Cannot use the frame at 0 of layer ${layer.name} as its SHA-256 is not `);
const notThere = (layer: Layer) => new RegExp(`^Cannot use layer ${layer.name} as it is not in the store$`);

test("a cache that is in order: what it holds is counted, each layer once, and nothing is written", async () => {
  const { cache, store } = await twoLayers();
  const writes: string[] = [];
  const watched = intercept(store, ({ name }) => {
    if (/^(put|remove|begin|note|sweep|now)/.test(name)) writes.push(name);
  });
  const inOrder = { problems: [], supersededProblems: [], supersededUntrusted: [] };
  assert.deepEqual(await verifyOne(watched), {
    key,
    generations: 2,
    layers: 2,
    files: 3,
    bytes: 6,
    ...inOrder,
  });
  // What only an older generation names is read as well.
  await cache.put([]);
  assert.deepEqual(await verifyOne(watched), {
    key,
    generations: 3,
    layers: 2,
    files: 3,
    bytes: 6,
    ...inOrder,
  });
  assert.deepEqual(writes, []);
});

test("a key of which there is nothing is in order", async () => {
  assert.deepEqual(await verifyOne(new Cache().store), {
    key,
    generations: 0,
    layers: 0,
    files: 0,
    bytes: 0,
    problems: [],
    supersededProblems: [],
    supersededUntrusted: [],
  });
});

test("a damaged layer of the newest generation is a problem, whichever it is", async () => {
  const { store, first, second } = await twoLayers();
  assertProblems((await verifyOne(withRotten(store, second.name))).problems, [wrongDigest(second)]);
  // An older generation names the first one as well: it counts once, and where it matters.
  const both = await verifyOne(withRotten(store, first.name, second.name));
  assertProblems(both.problems, [wrongDigest(first), wrongDigest(second)]);
  assert.deepEqual([both.generations, both.layers, both.supersededProblems], [2, 2, []]);
});

test("a damaged layer that only older generations name is a superseded problem", async () => {
  const { cache, store, first, second } = await twoLayers();
  await cache.put([first]);
  const verified = await verifyOne(withRotten(store, second.name));
  assert.deepEqual(verified.problems, []);
  assertProblems(verified.supersededProblems, [wrongDigest(second)]);
  assert.deepEqual(await markedIn(store), []);
});

test("one layer that is damaged hides no other", async () => {
  const { cache, store, first, second } = await twoLayers();
  await cache.put([second]);
  const third = await cache.add([sourceFile("r/d", "d")]);
  const verified = await verifyOne(without(withRotten(store, first.name, third.name), second.name));
  assertProblems(verified.problems, [notThere(second), wrongDigest(third)]);
  assertProblems(verified.supersededProblems, [wrongDigest(first)]);
  assert.deepEqual((await markedIn(store)).sort(), [second.name, third.name].sort());
});

test("an absent layer is a problem, and so is one whose index is damaged or whose file is another than it says", async () => {
  const { cache, store, first, second } = await twoLayers();
  assertProblems((await verifyOne(without(store, first.name))).problems, [notThere(first)]);
  const damage = new Damage();
  damage.layer = (bytes, name) => name === second.name ? flipped(bytes, second.index.offset) : bytes;
  assertProblems((await verifyOne(damage.on(store))).problems, [
    new RegExp(`^Cannot use the index of layer ${second.name} as `),
  ]);
  const raw = new Uint8Array(512).fill(0x61);
  const liar = await assemble([raw], [indexedFile("r/liar", raw, { sha256: sha256Of(textBytes("b")) })]);
  await cache.put([first, await cache.publish(liar)]);
  assertProblems((await verifyOne(store)).problems, [/as "r\/liar" has another SHA-256$/]);
});

test("a torn generation above the newest valid one is a problem, and one below it a superseded one", async () => {
  const { cache, store } = await twoLayers();
  await cache.burn(3);
  await cache.burn(4);
  const torn = [/^generation 4 is not valid: it ends within its first line$/, /^generation 3 is not valid: /];
  const newest = await verifyOne(store);
  assertProblems(newest.problems, torn);
  assert.deepEqual([newest.generations, newest.layers, newest.supersededProblems], [2, 2, []]);
  await cache.add([sourceFile("r/d", "d")]);
  const old = await verifyOne(store);
  assert.deepEqual([old.generations, old.problems], [3, []]);
  assertProblems(old.supersededProblems, torn);
});

test("a history of nothing but torn generations is a problem", async () => {
  const cache = new Cache();
  await cache.burn(1);
  const verified = await verifyOne(cache.store);
  assertProblems(verified.problems, [/^generation 1 is not valid: /]);
  assert.deepEqual([verified.generations, verified.supersededProblems], [0, []]);
});

test("two layers that are whole and contradict each other are a problem of the newest generation", async () => {
  const cache = new Cache();
  const file = await cache.publish(await pack([sourceFile("r/a", "a file")]));
  const directory = await cache.publish(await pack([sourceFile("r/a/below", "below it")]));
  await cache.putManifest({ n: 1, layers: [file] });
  await cache.putManifest({ n: 2, layers: [file, directory] });
  const verified = await verifyOne(cache.store);
  assertProblems(verified.problems, [
    /^generation 2: Cannot use this cache as "r\/a" is a file in it, and "r\/a\/below" lies below that$/,
  ]);
  // The layers are whole: there is nothing to be healed by reading them again.
  assert.deepEqual(await markedIn(cache.store), []);
  // In a generation that nobody loads it does not matter.
  await cache.putManifest({ n: 3, layers: [directory] });
  const superseded = await verifyOne(cache.store);
  assert.deepEqual([superseded.problems, superseded.supersededProblems], [[], []]);
});

test("what the newest generation says about a layer counts, whatever an older one said", async () => {
  const cache = new Cache();
  const layer = await cache.publish(await pack([sourceFile("r/a", "a"), sourceFile("r/b", "b")]));
  const otherwise = { ...layer, files: 7 };
  await cache.putManifest({ n: 1, layers: [otherwise] });
  await cache.putManifest({ n: 2, layers: [layer] });
  assert.deepEqual((await verifyOne(cache.store)).problems, []);
  assert.deepEqual(await markedIn(cache.store), []);
  await cache.putManifest({ n: 3, layers: [otherwise] });
  assertProblems((await verifyOne(cache.store)).problems, [/as it must hold 7 files, not 2$/]);
});

test("a bad layer of the newest generation is marked, once", async () => {
  const { store, second } = await twoLayers();
  const rotten = withRotten(store, second.name);
  await verifyOne(rotten);
  assert.deepEqual(await markedIn(store), [second.name]);
  assertProblems((await verifyOne(rotten)).problems, [wrongDigest(second)]);
  assert.deepEqual(await markedIn(store), [second.name]);
});

test("a store that cannot be written to is verified all the same", async () => {
  const { store, second } = await twoLayers();
  const refusing: Store = {
    ...withRotten(store, second.name),
    putMark: () => Promise.reject(new CacheError("store_io", "EROFS")),
  };
  assertProblems((await verifyOne(refusing)).problems, [wrongDigest(second)]);
  assert.deepEqual(await markedIn(store), []);
});

/** `store`, in which `act` is done before the first layer is opened. */
function beforeReading(store: Store, act: () => Promise<void>): Store {
  let done: Promise<void> | undefined;
  return {
    ...store,
    openLayer: async (key, name) => {
      await (done ??= act());
      return await store.openLayer(key, name);
    },
  };
}

test("what a prune removed in the middle, and nobody names any more, is no problem", async () => {
  const { cache, store, first, second } = await twoLayers();
  const third = await cache.publish(await pack([sourceFile("r/d", "d")]));
  const pruned = beforeReading(store, async () => {
    await cache.put([first, third]);
    await store.removeGenerations(key, [1, 2]);
    await store.removeLayer(key, second.name);
  });
  const verified = await verifyOne(pruned);
  assert.deepEqual([verified.problems, verified.supersededProblems], [[], []]);
  assert.deepEqual(await markedIn(store), []);
});

test("a superseded layer that a prune removed in the middle is no problem either", async () => {
  const { cache, store, first, second } = await twoLayers();
  await cache.put([second]);
  const pruned = beforeReading(store, async () => {
    await store.removeGenerations(key, [1, 2]);
    await store.removeLayer(key, first.name);
  });
  const verified = await verifyOne(pruned);
  assert.deepEqual([verified.problems, verified.supersededProblems], [[], []]);
});

test("a layer that was removed in the middle and is still named is a problem", async () => {
  const { store, first, second } = await twoLayers();
  const removed = beforeReading(store, async () => {
    await store.removeGenerations(key, [1]);
    await store.removeLayer(key, first.name);
  });
  const verified = await verifyOne(withRotten(removed, second.name));
  assertProblems(verified.problems, [notThere(first), wrongDigest(second)]);
});

test("a generation that went between the look and the reading is not counted", async () => {
  const { store } = await twoLayers();
  const pruned: Store = {
    ...store,
    readGeneration: (key, n) => n === 1 ? Promise.resolve(undefined) : store.readGeneration(key, n),
  };
  const verified = await verifyOne(pruned);
  assert.deepEqual([verified.generations, verified.layers, verified.problems], [1, 2, []]);
});

test("several keys are verified each by itself, in the order given", async () => {
  const { cache, store, second } = await twoLayers();
  const other = await cache.add([sourceFile("r/x", "xxxx")], otherKey);
  const counts = (caches: readonly VerifiedCache[]) =>
    caches.map(({ key, generations, layers, files, bytes }) => [key, generations, layers, files, bytes]);
  const [mine, others] = [[key, 2, 2, 3, 6], [otherKey, 1, 1, 1, 4]];
  assert.deepEqual(counts(await verifyAll(store, { keys: [otherKey, key] })), [others, mine]);
  assert.deepEqual(await verifyAll(store, { keys: [] }), []);
  const problems = await verifyAll(withRotten(store, other.name), { keys: [key, otherKey] });
  assert.deepEqual(problems[0]?.problems, []);
  assertProblems(problems[1]?.problems ?? [], [wrongDigest(other)]);
  assert.deepEqual([await markedIn(store), await markedIn(store, otherKey)], [[], [other.name]]);
  assertProblems(
    (await verifyAll(withRotten(store, second.name), { keys: [key, otherKey] }))[0]?.problems ?? [],
    [
      wrongDigest(second),
    ],
  );
});

test("the progress goes up to the raw bytes of all keys, which are known from the beginning", async () => {
  const { cache, store } = await twoLayers();
  await cache.add([sourceFile("r/x", "xxxx")], otherKey);
  const told: [number, number][] = [];
  await verifyAll(store, { keys: [key, otherKey], progress: (done, total) => told.push([done, total]) });
  assert.deepEqual(told.map(([, total]) => total), told.map(() => 10));
  const done = told.map(([done]) => done);
  assert.deepEqual([done.length, done.at(-1)], [4, 10]);
  assert.deepEqual(done, done.toSorted((a, b) => a - b));
});

test("two layers are read at once, and never more", async () => {
  const cache = new Cache();
  for (let at = 0; at < 5; at++) await cache.add([sourceFile(`r/${at}`, String(at))]);
  const { store } = cache;
  const reading = new Set<string>();
  let most = 0;
  const watched: Store = {
    ...store,
    openLayer: async (key, name) => {
      const file = await store.openLayer(key, name);
      reading.add(name);
      return file && {
        ...file,
        read: (offset, length) => {
          if (offset === 0) most = Math.max(most, reading.size);
          return file.read(offset, length);
        },
        [Symbol.asyncDispose]: () => Promise.resolve(void reading.delete(name)),
      };
    },
  };
  assert.deepEqual((await verifyOne(watched)).problems, []);
  assert.deepEqual([most, reading.size], [2, 0]);
});

test("an abort stops it, and is no problem of the cache", async () => {
  const { store } = await twoLayers();
  const reason = new Error("stop");
  await assert.rejects(verifyAll(store, { signal: AbortSignal.abort(reason) }), reason);
  assert.deepEqual(await markedIn(store), []);
});

test("a newer format is not called damage", async () => {
  const { cache, store } = await twoLayers();
  const manifest = exampleManifest({ n: 3 });
  const line = JSON.stringify({ ...manifest, format: 2, store_id: store.id, key });
  const seal = JSON.stringify({ sha256: sha256Of(textBytes(line)), signatures: [] });
  await cache.store.putGeneration(key, 3, textBytes(`${line}\n${seal}\n`));
  await assert.rejects(verifyAll(store), cacheError("store_unsupported"));
});

test("each call of the store that fails is thrown, and never reported as damage", async () => {
  const names = await atEveryCall(async (point) => {
    const { store } = await twoLayers();
    const failing = intercept(
      store,
      point.once(() => {
        throw new CacheError("store_io", "the share failed");
      }),
    );
    const verified = await verifyOne(failing).catch((error: unknown) => error);
    if (!point.reached || point.reached.name === "dispose") return;
    assert.ok(verified instanceof CacheError, point.reached.name);
    assert.equal(verified.code, "store_io");
    assert.deepEqual(await markedIn(store), []);
  });
  for (const name of ["generationNumbers", "readGeneration", "openLayer", "read"]) {
    assert.ok(names.includes(name));
  }
});
