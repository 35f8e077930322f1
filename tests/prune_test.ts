import assert from "node:assert/strict";
import { test } from "node:test";
import { deadUploadMs, pruneGraceMs } from "../lib/ages.ts";
import { putNext } from "../lib/commit.ts";
import { CacheError } from "../lib/errors.ts";
import { findHead, readGeneration } from "../lib/history.ts";
import { type CacheKey, parseKey } from "../lib/key.ts";
import { hasLayer } from "../lib/layers.ts";
import { load } from "../lib/load.ts";
import type { Layer, Manifest } from "../lib/manifest.ts";
import { putMark, readMarks } from "../lib/marks.ts";
import type { LoadOutcome, SaveOutcome } from "../lib/operation.ts";
import type { Prune } from "../lib/prune/work.ts";
import { prune, type PrunedCache } from "../lib/prune.ts";
import { memoryStore } from "../lib/store/memory.ts";
import type { Store } from "../lib/store.ts";
import type { Clock } from "../lib/system.ts";
import { only } from "./fake_system.ts";
import {
  type Call,
  key,
  newWorld,
  type Pod,
  type PodOptions,
  readFiles,
  withDirectory,
  type World,
} from "./pods.ts";
import { syncFiles } from "./sync_files.ts";
import { type Files, podsIn, saveTo } from "./workbench.ts";

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;

const otherKey = parseKey("other-key", "key");
const thirdKey = parseKey("third-key", "key");

/** A clock of which only the time of day is used. */
function wallClock(nowMs: () => number): Clock {
  return only<Clock>("clock", { nowMs, sleep: () => Promise.resolve() });
}

interface Bench {
  readonly world: World;
  /** Fails the test as soon as something names a layer that is not there. */
  readonly store: Store;
  /** What the store's own clock says: the pods' clocks are years behind. */
  readonly shareClock: { ms: number };
  readonly graceMs: number;
  /** A pod whose root lies at `name`, with these files more. */
  readonly pod: (name: string, files?: Files, options?: PodOptions) => Pod;
}

function withBench(act: (bench: Bench) => Promise<void>): Promise<void> {
  return withDirectory(async (base) => {
    const world = newWorld(syncFiles);
    const shareClock = { ms: Date.UTC(2026, 0, 1) };
    const clock = wallClock(() => shareClock.ms);
    const pod = podsIn(world, base);
    const store = watched(memoryStore({ random: world.random, clock }));
    await act({ world, store, shareClock, graceMs: pruneGraceMs(pod("pruner").config), pod });
  });
}

/** Asserts after each step that the newest generation, and any that is there when a layer goes, can be loaded. */
function watched(store: Store): Store {
  const assertLoadable = async (at: CacheKey, manifest: Manifest | undefined) => {
    for (const { name } of manifest?.layers ?? []) {
      assert.ok(
        await hasLayer(store, at, name),
        `generation ${manifest?.n} names ${name}, which is not there`,
      );
    }
  };
  return {
    ...store,
    putGeneration: async (at, n, bytes) => {
      const answer = await store.putGeneration(at, n, bytes);
      await assertLoadable(at, (await findHead(store, at)).generation?.manifest);
      return answer;
    },
    removeLayer: async (at, name) => {
      await store.removeLayer(at, name);
      for (const manifest of await manifestsOf(store, at)) await assertLoadable(at, manifest);
    },
  };
}

/** All valid generations, ascending. */
async function manifestsOf(store: Store, at: CacheKey = key): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  for (const n of await store.generationNumbers(at)) {
    const read = await readGeneration(store, at, n);
    if (read.kind === "valid") manifests.push(read.generation.manifest);
  }
  return manifests;
}

/** The store with `act` done before each call on it. */
function before(store: Store, act: (call: Call) => Promise<void> | void): Store {
  return new Proxy(store, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property);
      if (typeof member !== "function") return member;
      return async (...args: unknown[]): Promise<unknown> => {
        await act({ name: String(property), args });
        return await Reflect.apply(member, target, args);
      };
    },
  });
}

/** The store with `act` done once, before the first call of `name`. */
function beforeFirst(store: Store, name: keyof Store, act: () => Promise<unknown>): Store {
  let isDone = false;
  return before(store, async (call) => {
    if (isDone || call.name !== name) return;
    isDone = true;
    await act();
  });
}

/** The store, and a record of the calls on it: "removeGenerations 1,2". */
function recorded(store: Store): { store: Store; calls: string[] } {
  const calls: string[] = [];
  return { store: before(store, ({ name, args }) => void calls.push(`${name} ${args[1]}`)), calls };
}

function pruneOnce({ pod, store }: Bench, options: Partial<Prune> = {}): Promise<PrunedCache[]> {
  return prune({ ...pod("pruner"), store, policy: { keepLast: 2 }, dryRun: false, ...options });
}

/** Prunes until nothing waits any more. */
async function pruneUntilSettled(bench: Bench): Promise<void> {
  for (let run = 0; run < 4; run++) {
    await pruneOnce(bench);
    bench.shareClock.ms += bench.graceMs;
  }
}

/** What a prune says of a cache with which it did nothing. */
const untouched: PrunedCache = {
  key,
  evicted: false,
  generationsRemoved: 0,
  layersRemoved: 0,
  bytesFreed: 0,
  bytesWaiting: 0,
};

/** Publishes a layer that nobody names. Nobody reads it either: a prune looks at names alone. */
async function publish({ store }: Bench, text: string, at: CacheKey = key): Promise<Layer> {
  await using upload = await store.beginLayer(at);
  await upload.write(Buffer.from(text));
  const name = await upload.publish();
  const index = { offset: 0, bytes: text.length, sha256: "0".repeat(64) };
  return { name, bytes: text.length, index, files: 1, raw_bytes: text.length };
}

async function commit(
  { world, store }: Bench,
  layers: readonly Layer[],
  at: CacheKey = key,
): Promise<void> {
  const head = await findHead(store, at);
  assert.equal(await putNext(world, store, { key: at, head, next: { layers } }), "put");
}

async function publishFour(bench: Bench) {
  return {
    a: await publish(bench, "a"),
    b: await publish(bench, "bb"),
    c: await publish(bench, "cccc"),
    d: await publish(bench, "dddddddd"),
  };
}

/** Generations 1 to 4, each of which replaces the layer of the one before. */
async function replacedThrice(bench: Bench) {
  const layers = await publishFour(bench);
  for (const layer of [layers.a, layers.b, layers.c, layers.d]) await commit(bench, [layer]);
  return layers;
}

async function headOf(store: Store, at: CacheKey = key): Promise<Manifest> {
  return (await findHead(store, at)).generation?.manifest ?? assert.fail("there is no generation");
}

function namesOf(layers: readonly { readonly name: string }[]): string[] {
  return layers.map(({ name }) => name).sort();
}

async function storedNames(store: Store, at: CacheKey = key): Promise<string[]> {
  return namesOf(await store.layers(at));
}

/** What the marks say that nobody names, mark by mark. */
async function candidatesOf(store: Store, at: CacheKey = key): Promise<string[][]> {
  return (await readMarks(store, at)).flatMap((mark) =>
    mark.kind === "candidates" ? [[...mark.layers].sort()] : []
  );
}

/** Nothing is left that nobody needs, and nothing is missing. */
async function assertSettled(store: Store): Promise<void> {
  const manifests = await manifestsOf(store);
  const named = new Set(manifests.flatMap(({ layers }) => namesOf(layers)));
  assert.deepEqual(await storedNames(store), [...named].sort());
  assert.deepEqual(manifests.at(-1)?.condemned ?? [], []);
  assert.deepEqual(await store.marks(key), []);
}

let loaders = 0;

/** What a fresh pod gets. */
async function loadedFrom({ store, pod }: Bench): Promise<{ outcome: LoadOutcome; files: Files }> {
  const fresh = pod(`fresh-${++loaders}`);
  const outcome = await load(fresh, store);
  return { outcome, files: readFiles(fresh.dir) };
}

/** A save that has published its layer and waits before its first commit until it may go on. */
async function stopBeforeCommit({ store }: Bench, pod: Pod) {
  const arrival = Promise.withResolvers<void>();
  const departure = Promise.withResolvers<void>();
  const slow = beforeFirst(store, "putGeneration", async () => {
    arrival.resolve();
    await departure.promise;
  });
  const done = saveTo(slow, pod);
  await Promise.race([arrival.promise, done]);
  return {
    goOn: (): Promise<SaveOutcome> => {
      departure.resolve();
      return done;
    },
  };
}

/**
 * Runs `act` with a hook that is due at the 1st call on a store, the 2nd, … until a run makes fewer calls.
 * @returns how many calls there were.
 */
async function atEveryCall(
  act: (bench: Bench, hookAt: (hook: () => Promise<void> | void) => Store) => Promise<void>,
): Promise<number> {
  for (let at = 1;; at++) {
    let count = 0;
    await withBench((bench) =>
      act(bench, (hook) =>
        before(bench.store, async () => {
          if (++count === at) await hook();
        }))
    );
    if (count < at) return at - 1;
  }
}

test("a first prune marks what no retained generation names, and removes nothing", () =>
  withBench(async (bench) => {
    const { store } = bench;
    const { a, b, c, d } = await replacedThrice(bench);
    assert.deepEqual(await pruneOnce(bench), [{ ...untouched, bytesWaiting: a.bytes + b.bytes }]);
    assert.deepEqual(await candidatesOf(store), [namesOf([a, b])]);
    assert.deepEqual(await storedNames(store), namesOf([a, b, c, d]));
    assert.deepEqual(await store.generationNumbers(key), [1, 2, 3, 4]);
  }));

test("what is marked already is not marked again, and not for a longer time", () =>
  withBench(async (bench) => {
    const { store, shareClock } = bench;
    const { a, b } = await replacedThrice(bench);
    await pruneOnce(bench);
    const marks = await store.marks(key);
    shareClock.ms += hourMs;
    await pruneOnce(bench);
    assert.deepEqual(await store.marks(key), marks);
    const orphan = await publish(bench, "orphan");
    await pruneOnce(bench);
    assert.deepEqual(await candidatesOf(store), [namesOf([a, b]), [orphan.name]]);
  }));

test("a prune after the grace condemns, looks afresh, and removes from the bottom up", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b, c, d } = await replacedThrice(bench);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    const { store: watch, calls } = recorded(store);
    let condemned: Manifest | undefined;
    const pruned = await pruneOnce({
      ...bench,
      store: before(watch, async ({ name }) => {
        if (name === "removeGenerations") condemned ??= await headOf(store);
      }),
    });
    const bytes = a.bytes + b.bytes;
    assert.deepEqual(pruned, [{ ...untouched, generationsRemoved: 2, layersRemoved: 2, bytesFreed: bytes }]);
    const steps = calls.filter((call) => /^(putGeneration|removeGenerations|removeLayer) /.test(call));
    assert.deepEqual(steps, [
      "putGeneration 5",
      "removeGenerations 1,2",
      ...namesOf([a, b]).map((name) => `removeLayer ${name}`),
      "putGeneration 6",
    ]);
    const between = calls.slice(calls.indexOf("putGeneration 5"), calls.indexOf("removeGenerations 1,2"));
    assert.ok(between.includes("readGeneration 5"), "nobody looked at what was committed");
    assert.deepEqual(condemned?.layers, [d]);
    assert.deepEqual(condemned?.condemned.toSorted(), namesOf([a, b]));
    const head = await headOf(store);
    assert.deepEqual({ n: head.n, layers: head.layers, condemned: head.condemned }, {
      n: 6,
      layers: [d],
      condemned: [],
    });
    assert.deepEqual(await storedNames(store), namesOf([c, d]));
    assert.deepEqual(await store.generationNumbers(key), [3, 4, 5, 6]);
    assert.deepEqual(await store.marks(key), []);
    assert.deepEqual(await pruneOnce(bench), [untouched]);
    assert.deepEqual(await store.generationNumbers(key), [3, 4, 5, 6]);
  }));

const podClocks = {
  "at its start": () => 0,
  "a century ahead": () => Date.UTC(2126, 0, 1),
};

for (const [name, nowMs] of Object.entries(podClocks)) {
  test(`nothing goes before the grace is over by the store's own clock, with a pod's clock ${name}`, () =>
    withBench(async (bench) => {
      const { store, world, shareClock, graceMs } = bench;
      const { c, d } = await replacedThrice(bench);
      const layers = await storedNames(store);
      const system = { clock: wallClock(nowMs), random: world.random };
      await pruneOnce(bench, { system });
      shareClock.ms += graceMs - 1;
      await pruneOnce(bench, { system });
      assert.deepEqual(await storedNames(store), layers);
      assert.deepEqual(await store.generationNumbers(key), [1, 2, 3, 4]);
      shareClock.ms += 1;
      await pruneOnce(bench, { system });
      assert.deepEqual(await storedNames(store), namesOf([c, d]));
    }));
}

test("a grace shorter than a save and a load take is as long as they", () =>
  withBench(async (bench) => {
    const { store, shareClock, pod } = bench;
    const { c, d } = await replacedThrice(bench);
    const config = { ...pod("pruner").config, pruneGraceS: 0, saveTimeoutS: 60, loadTimeoutS: 30 };
    await pruneOnce(bench, { config });
    shareClock.ms += 90_000 - 1;
    await pruneOnce(bench, { config });
    assert.equal((await store.layers(key)).length, 4);
    shareClock.ms += 1;
    await pruneOnce(bench, { config });
    assert.deepEqual(await storedNames(store), namesOf([c, d]));
  }));

test("a superseded generation goes only once its successor is older than the grace", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b, c, d } = await publishFour(bench);
    for (const layers of [[a], [a, b], [a, b, c], [a, b, c, d]]) {
      await commit(bench, layers);
      shareClock.ms += hourMs;
    }
    const startMs = shareClock.ms - 4 * hourMs;
    const numbersAt = async (ms: number) => {
      shareClock.ms = startMs + ms;
      const [pruned] = await pruneOnce(bench);
      assert.equal(pruned?.bytesWaiting, 0);
      return await store.generationNumbers(key);
    };
    assert.deepEqual(await numbersAt(graceMs + hourMs - 1), [1, 2, 3, 4]);
    assert.deepEqual(await numbersAt(graceMs + hourMs), [2, 3, 4]);
    assert.deepEqual(await numbersAt(graceMs + 2 * hourMs - 1), [2, 3, 4]);
    assert.deepEqual(await numbersAt(graceMs + 2 * hourMs), [3, 4]);
    assert.deepEqual(await numbersAt(10 * graceMs), [3, 4]);
    assert.deepEqual(await storedNames(store), namesOf([a, b, c, d]));
  }));

test("while there are too few lists of layers every number stays taken, so that no late saver wins one", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const only = await publish(bench, "only");
    await commit(bench, [only]);
    await publish(bench, "orphan");
    for (let run = 0; run < 4; run++) {
      await pruneOnce(bench);
      shareClock.ms += 2 * graceMs;
    }
    assert.deepEqual(await storedNames(store), [only.name]);
    const numbers = await store.generationNumbers(key);
    assert.ok(numbers.length > 1, "nothing was condemned");
    assert.deepEqual(numbers, numbers.map((_, at) => at + 1));
  }));

for (
  const { policy, kept } of [
    { policy: { keepLast: 4 }, kept: [1, 2, 3, 4, 5, 6] },
    { policy: { keepLast: 3 }, kept: [2, 3, 4, 5, 6] },
    { policy: { keepLast: 2 }, kept: [4, 5, 6] },
    { policy: {}, kept: [4, 5, 6] },
  ]
) {
  test(`generations with the same layers count once: ${JSON.stringify(policy)} keeps ${kept.join(", ")}`, () =>
    withBench(async (bench) => {
      const { store, shareClock, graceMs } = bench;
      const { a, b, c } = await publishFour(bench);
      for (const layers of [[a], [a], [a, b], [a, b], [a, b, c], [a, b, c]]) {
        await commit(bench, layers);
      }
      shareClock.ms += graceMs;
      await pruneOnce(bench, { policy });
      assert.deepEqual(await store.generationNumbers(key), kept);
    }));
}

test("generations that a listing does not show are found, those below a gap too", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b, c, d } = await publishFour(bench);
    for (const layers of [[a], [a], [a], [a], [a], [a], [a, b], [a, b, c], [a, b, c, d]]) {
      await commit(bench, layers);
    }
    await store.removeGenerations(key, [2, 3, 4, 6]);
    shareClock.ms += graceMs;
    const listed = [1, 8, 9];
    const stale: Store = { ...store, generationNumbers: () => Promise.resolve([...listed]) };
    const [pruned] = await pruneOnce({ ...bench, store: stale });
    assert.equal(pruned?.generationsRemoved, 3);
    assert.deepEqual(await store.generationNumbers(key), [8, 9]);
  }));

test("a burned number goes with what was superseded, and one among the kept ones stays", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b, c, d } = await publishFour(bench);
    const burn = async (n: number) => {
      assert.equal(await store.putGeneration(key, n, Buffer.from("torn")), "put");
    };
    await commit(bench, [a]);
    await burn(2);
    await commit(bench, [b]);
    await commit(bench, [c]);
    await burn(5);
    await commit(bench, [d]);
    await burn(7);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    await pruneOnce(bench);
    assert.deepEqual(await store.generationNumbers(key), [4, 5, 6, 7, 8, 9]);
    assert.deepEqual(await storedNames(store), namesOf([c, d]));
  }));

test("a condemned layer stays as long as a generation that names it", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b, c, d } = await publishFour(bench);
    await commit(bench, [a]);
    await pruneOnce(bench);
    // All of them are marked by now; then one after the other is committed, and superseded at once.
    shareClock.ms += graceMs - 1;
    for (const layer of [b, c, d]) await commit(bench, [layer]);
    shareClock.ms += 1;
    const [pruned] = await pruneOnce(bench);
    assert.equal(pruned?.layersRemoved, 0);
    const { n, condemned } = await headOf(store);
    assert.deepEqual({ n, condemned }, { n: 5, condemned: [b.name] });
    assert.deepEqual(await storedNames(store), namesOf([a, b, c, d]));
    shareClock.ms += graceMs;
    await pruneOnce(bench);
    assert.deepEqual(await storedNames(store), namesOf([c, d]));
    await pruneUntilSettled(bench);
    await assertSettled(store);
  }));

test("a prune that finds nothing to do commits nothing and marks nothing", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    await replacedThrice(bench);
    await pruneUntilSettled(bench);
    const { store: watch, calls } = recorded(store);
    for (let run = 0; run < 3; run++) {
      assert.deepEqual(await pruneOnce({ ...bench, store: watch }), [untouched]);
      shareClock.ms += graceMs;
    }
    assert.deepEqual(calls.filter((call) => /^(put|removeLayer|removeMark)/.test(call)), []);
    assert.deepEqual(calls.filter((call) => /^removeGenerations ./.test(call)), []);
  }));

test("a prune of an empty store does nothing", () =>
  withBench(async (bench) => {
    assert.deepEqual(await pruneOnce(bench, { policy: { maxAgeMs: 0, maxTotalBytes: 0 } }), []);
  }));

test("every key's dead uploads are swept", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await publish(bench, "one");
    await publish(bench, "another", otherKey);
    const swept: unknown[] = [];
    await pruneOnce({
      ...bench,
      store: before(store, ({ name, args }) => {
        if (name === "sweep") swept.push(args);
      }),
    });
    const ageMs = deadUploadMs(pod("pruner").config);
    assert.deepEqual(swept, [[otherKey, ageMs], [key, ageMs]]);
  }));

for (
  const { name, hasCache } of [{ name: "a cache", hasCache: true }, { name: "no cache", hasCache: false }]
) {
  test(`a layer whose saver crashed before its commit goes in the second prune, of ${name}`, () =>
    withBench(async (bench) => {
      const { store, pod, shareClock, graceMs } = bench;
      const files = hasCache ? { "x": "saved" } : {};
      if (hasCache) await saveTo(store, pod("saver", files));
      const dying = beforeFirst(store, "putGeneration", () => Promise.reject(new Error("killed")));
      await assert.rejects(saveTo(dying, pod("dying", { ...files, "y": "lost" })), { message: "killed" });
      const named = hasCache ? namesOf((await headOf(store)).layers) : [];
      assert.equal((await store.layers(key)).length, named.length + 1);
      await pruneOnce(bench);
      assert.equal((await store.layers(key)).length, named.length + 1);
      shareClock.ms += graceMs;
      const [pruned] = await pruneOnce(bench);
      assert.equal(pruned?.layersRemoved, 1);
      assert.deepEqual(await storedNames(store), named);
      assert.deepEqual((await loadedFrom(bench)).files, files);
      await pruneUntilSettled(bench);
      await assertSettled(store);
      const outcome = await saveTo(store, pod("late", { "y": "saved late" }));
      assert.equal(outcome.status, "SUCCESS");
      assert.deepEqual((await loadedFrom(bench)).files, { ...files, "y": "saved late" });
    }));
}

for (const hasCache of [true, false]) {
  test(`a saver whose layer was pruned before its commit packs anew, ${hasCache ? "onto" : "without"} a cache`, () =>
    withBench(async (bench) => {
      const { store, pod, shareClock, graceMs } = bench;
      const files = hasCache ? { "x": "saved" } : {};
      if (hasCache) await saveTo(store, pod("saver", files));
      const before = await storedNames(store);
      const slow = await stopBeforeCommit(bench, pod("slow", { ...files, "y": "slow" }));
      await pruneOnce(bench);
      shareClock.ms += graceMs;
      await pruneOnce(bench);
      assert.deepEqual(await storedNames(store), before);
      assert.equal((await slow.goOn()).status, "SUCCESS");
      assert.deepEqual((await loadedFrom(bench)).files, { ...files, "y": "slow" });
      await pruneUntilSettled(bench);
      await assertSettled(store);
    }));
}

test("a saver whose layer is condemned and still there packs anew", () =>
  withBench(async (bench) => {
    const { store, pod, shareClock, graceMs } = bench;
    const slow = await stopBeforeCommit(bench, pod("slow", { "y": "slow" }));
    const [published] = await storedNames(store);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    const dying = beforeFirst(store, "removeLayer", () => Promise.reject(new Error("killed")));
    await assert.rejects(pruneOnce({ ...bench, store: dying }), { message: "killed" });
    assert.deepEqual((await headOf(store)).condemned, [published]);
    assert.equal((await slow.goOn()).status, "SUCCESS");
    const head = await headOf(store);
    assert.deepEqual(head.condemned, [published]);
    assert.ok(!namesOf(head.layers).includes(published ?? ""));
    await pruneOnce(bench);
    assert.deepEqual(await storedNames(store), namesOf(head.layers));
    assert.deepEqual((await loadedFrom(bench)).files, { "y": "slow" });
  }));

test("a saver that slept until its own number was pruned saves nevertheless", () =>
  withBench(async (bench) => {
    const { store, pod, shareClock, graceMs } = bench;
    await saveTo(store, pod("first", { "x1": "1" }));
    const slow = await stopBeforeCommit(bench, pod("slow", { "y": "slow" }));
    for (const n of [2, 3, 4]) await saveTo(store, pod(`saver-${n}`, { [`x${n}`]: `${n}` }));
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    await pruneOnce(bench);
    assert.ok(!(await store.generationNumbers(key)).includes(2));
    assert.equal((await slow.goOn()).status, "SUCCESS");
    const files = { "x1": "1", "x2": "2", "x3": "3", "x4": "4", "y": "slow" };
    assert.deepEqual((await loadedFrom(bench)).files, files);
    await pruneUntilSettled(bench);
    await assertSettled(store);
    assert.deepEqual((await loadedFrom(bench)).files, files);
  }));

test("a layer that was marked and then committed stays", () =>
  withBench(async (bench) => {
    const { store, pod, shareClock, graceMs } = bench;
    const slow = await stopBeforeCommit(bench, pod("slow", { "y": "slow" }));
    const published = await storedNames(store);
    await pruneOnce(bench);
    assert.deepEqual(await candidatesOf(store), [published]);
    assert.equal((await slow.goOn()).status, "SUCCESS");
    assert.deepEqual(namesOf((await headOf(store)).layers), published);
    shareClock.ms += graceMs;
    assert.deepEqual(await pruneOnce(bench), [untouched]);
    assert.deepEqual(await storedNames(store), published);
    assert.deepEqual(await store.generationNumbers(key), [1]);
    assert.deepEqual(await store.marks(key), []);
  }));

test("a layer that is committed while a prune is about to condemn it stays", () =>
  withBench(async (bench) => {
    const { store, pod, shareClock, graceMs } = bench;
    const slow = await stopBeforeCommit(bench, pod("slow", { "y": "slow" }));
    const published = await storedNames(store);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    const overtaken = beforeFirst(store, "putGeneration", () => slow.goOn());
    assert.deepEqual(await pruneOnce({ ...bench, store: overtaken }), [untouched]);
    const head = await headOf(store);
    assert.deepEqual(namesOf(head.layers), published);
    assert.deepEqual(head.condemned, []);
  }));

test("a saver that commits at any moment of a prune saves, and what others saved stays", async () => {
  const calls = await atEveryCall(async (bench, hookAt) => {
    const { store, pod, shareClock, graceMs } = bench;
    for (const n of [1, 2, 3]) await saveTo(store, pod(`saver-${n}`, { [`x${n}`]: `${n}` }));
    await publish(bench, "orphan");
    const slow = await stopBeforeCommit(bench, pod("slow", { "y": "slow" }));
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    let outcome: SaveOutcome | undefined;
    await pruneOnce({
      ...bench,
      store: hookAt(async () => {
        outcome = await slow.goOn();
      }),
    });
    assert.equal((outcome ?? await slow.goOn()).status, "SUCCESS");
    const files = { "x1": "1", "x2": "2", "x3": "3", "y": "slow" };
    assert.deepEqual((await loadedFrom(bench)).files, files);
    await pruneUntilSettled(bench);
    await assertSettled(store);
    assert.deepEqual((await loadedFrom(bench)).files, files);
  });
  assert.ok(calls > 20, `only ${calls} calls were interrupted`);
});

test("a prune that dies at any of its calls does no harm, and later ones finish its work", async () => {
  const calls = await atEveryCall(async (bench, hookAt) => {
    const { store, shareClock, graceMs } = bench;
    const { c, d } = await replacedThrice(bench);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    let isDead = false;
    const counted = hookAt(() => {
      isDead = true;
    });
    const dying = before(counted, () => {
      if (isDead) throw new Error("killed");
    });
    // The call at which it dies still has its effect.
    await pruneOnce({ ...bench, store: dying }).catch((error) => assert.equal(error.message, "killed"));
    assert.deepEqual((await headOf(store)).layers, [d]);
    await pruneUntilSettled(bench);
    await assertSettled(store);
    assert.deepEqual(await storedNames(store), namesOf([c, d]));
  });
  assert.ok(calls > 20, `only ${calls} calls were interrupted`);
});

test("a second prune at any moment of a first one does no harm", async () => {
  const calls = await atEveryCall(async (bench, hookAt) => {
    const { store, shareClock, graceMs } = bench;
    const { c, d } = await replacedThrice(bench);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    await pruneOnce({ ...bench, store: hookAt(async () => void await pruneOnce(bench)) });
    assert.deepEqual(await storedNames(store), namesOf([c, d]));
    await pruneUntilSettled(bench);
    await assertSettled(store);
    assert.deepEqual((await headOf(store)).layers, [d]);
  });
  assert.ok(calls > 20, `only ${calls} calls were interrupted`);
});

test("two prunes at once do no harm, evictions included", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { c, d } = await replacedThrice(bench);
    const evicting = { policy: { maxTotalBytes: 0 } };
    for (let run = 0; run < 4; run++) {
      await Promise.all([pruneOnce(bench), pruneOnce(bench)]);
      shareClock.ms += graceMs;
    }
    await assertSettled(store);
    assert.deepEqual(await storedNames(store), namesOf([c, d]));
    const evicted = await Promise.all([pruneOnce(bench, evicting), pruneOnce(bench, evicting)]);
    assert.ok(evicted.flat().some((pruned) => pruned.evicted));
    for (let run = 0; run < 4; run++) {
      shareClock.ms += graceMs;
      await Promise.all([pruneOnce(bench), pruneOnce(bench, evicting)]);
    }
    assert.deepEqual(await storedNames(store), []);
    assert.deepEqual((await headOf(store)).layers, []);
  }));

test("what an interrupted prune condemned is condemned until it is gone", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b, c, d } = await replacedThrice(bench);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    const dying = beforeFirst(store, "removeLayer", () => Promise.reject(new Error("killed")));
    await assert.rejects(pruneOnce({ ...bench, store: dying }), { message: "killed" });
    const orphan = await publish(bench, "orphan");
    await putMark(store, key, { kind: "candidates", layers: [orphan.name] });
    shareClock.ms += graceMs;
    const condemned: string[][] = [];
    const [pruned] = await pruneOnce({
      ...bench,
      store: before(store, async ({ name }) => {
        if (name === "removeLayer") condemned.push((await headOf(store)).condemned.toSorted());
      }),
    });
    const all = namesOf([a, b, orphan]);
    assert.deepEqual(condemned, [all, all, all]);
    assert.equal(pruned?.layersRemoved, 3);
    assert.deepEqual(await storedNames(store), namesOf([c, d]));
    assert.deepEqual((await headOf(store)).condemned, []);
  }));

test("an eviction condemns what was condemned before it", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b } = await replacedThrice(bench);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    const dying = beforeFirst(store, "removeLayer", () => Promise.reject(new Error("killed")));
    await assert.rejects(pruneOnce({ ...bench, store: dying }), { message: "killed" });
    await pruneOnce(bench, { policy: { maxTotalBytes: 0 } });
    const eviction = (await manifestsOf(store)).find(({ n }) => n === 6);
    assert.deepEqual(eviction?.layers, []);
    assert.deepEqual(eviction?.condemned.toSorted(), namesOf([a, b]));
  }));

test("a prune drops the names of what it removed, and none that another condemned meanwhile", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    await replacedThrice(bench);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    const dying = beforeFirst(store, "removeLayer", () => Promise.reject(new Error("killed")));
    let orphan: Layer | undefined;
    const other = async () => {
      orphan = await publish(bench, "orphan");
      await putMark(store, key, { kind: "candidates", layers: [orphan.name] });
      shareClock.ms += graceMs;
      await assert.rejects(pruneOnce({ ...bench, store: dying }), { message: "killed" });
    };
    await pruneOnce({ ...bench, store: beforeFirst(store, "openLayer", other) });
    assert.deepEqual((await headOf(store)).condemned, [orphan?.name]);
    await pruneUntilSettled(bench);
    await assertSettled(store);
  }));

test("a cache that nobody saved or restored for longer than maxAge is evicted", () =>
  withBench(async (bench) => {
    const { store, pod, shareClock } = bench;
    await saveTo(store, pod("saver", { "x": "saved" }));
    shareClock.ms += 7 * dayMs;
    const policy = { maxAgeMs: 7 * dayMs };
    assert.deepEqual(await pruneOnce(bench, { policy }), [untouched]);
    assert.deepEqual((await loadedFrom(bench)).files, { "x": "saved" });
    // To be restored is to be used.
    shareClock.ms += 7 * dayMs;
    assert.deepEqual(await pruneOnce(bench, { policy }), [untouched]);
    // To be saved is, too.
    await saveTo(store, pod("another", { "y": "more" }));
    shareClock.ms += 7 * dayMs;
    assert.deepEqual(await pruneOnce(bench, { policy }), [untouched]);
    // What nobody names is no use of it.
    await publish(bench, "orphan");
    shareClock.ms += 1;
    const [pruned] = await pruneOnce(bench, { policy });
    assert.equal(pruned?.evicted, true);
    assert.deepEqual((await headOf(store)).layers, []);
  }));

test("an evicted cache is not evicted again", async () => {
  for (const policy of [{ maxTotalBytes: 0 }, { maxAgeMs: hourMs }]) {
    await withBench(async (bench) => {
      const { store, shareClock } = bench;
      await commit(bench, [await publish(bench, "layer")]);
      shareClock.ms += 2 * hourMs;
      assert.equal((await pruneOnce(bench, { policy }))[0]?.evicted, true);
      shareClock.ms += 2 * hourMs;
      assert.equal((await pruneOnce(bench, { policy }))[0]?.evicted, false);
      assert.deepEqual(await store.generationNumbers(key), [1, 2]);
    });
  }
});

for (
  const { maxTotalBytes, evicted } of [
    { maxTotalBytes: 30, evicted: [] },
    { maxTotalBytes: 29, evicted: [otherKey] },
    { maxTotalBytes: 20, evicted: [otherKey] },
    { maxTotalBytes: 19, evicted: [otherKey, thirdKey] },
    { maxTotalBytes: 9, evicted: [otherKey, key, thirdKey] },
  ]
) {
  test(`the least recently used go until ${maxTotalBytes} of 30 bytes are left: ${evicted.length} of 3`, () =>
    withBench(async (bench) => {
      const { store, shareClock } = bench;
      for (const at of [key, otherKey, thirdKey]) {
        await commit(bench, [await publish(bench, "0123456789", at)], at);
        shareClock.ms += hourMs;
      }
      await store.noteUse(key);
      const pruned = await pruneOnce(bench, { policy: { maxTotalBytes } });
      assert.deepEqual(pruned.filter((cache) => cache.evicted).map((cache) => cache.key), evicted);
      for (const at of [key, otherKey, thirdKey]) {
        assert.equal((await headOf(store, at)).layers.length, evicted.includes(at) ? 0 : 1);
      }
    }));
}

for (const name of ["lastUseMs", "putGeneration"] as const) {
  test(`an eviction that was decided loses against a save that comes in before ${name}`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      await saveTo(store, pod("saver", { "x": "saved" }));
      const slow = await stopBeforeCommit(bench, pod("slow", { "y": "slow" }));
      const [pruned] = await pruneOnce(
        { ...bench, store: beforeFirst(store, name, () => slow.goOn()) },
        { policy: { maxTotalBytes: 0 } },
      );
      assert.equal((await slow.goOn()).status, "SUCCESS");
      assert.equal(pruned?.evicted, false);
      assert.deepEqual(await store.generationNumbers(key), [1, 2]);
      assert.deepEqual((await loadedFrom(bench)).files, { "x": "saved", "y": "slow" });
    }));
}

test("an evicted cache does not exist, and its bytes go once they were marked for long enough", () =>
  withBench(async (bench) => {
    const { store, pod, shareClock, graceMs } = bench;
    for (const n of [1, 2, 3]) await saveTo(store, pod(`saver-${n}`, { [`x${n}`]: `${n}` }));
    const bytes = (await headOf(store)).layers.reduce((sum, layer) => sum + layer.bytes, 0);
    const pruned = await pruneOnce(bench, { policy: { maxTotalBytes: 0 } });
    assert.deepEqual(pruned, [{ ...untouched, evicted: true, bytesWaiting: bytes }]);
    const { outcome, files } = await loadedFrom(bench);
    assert.equal(outcome.status, "DOES_NOT_EXIST");
    assert.deepEqual(files, {});
    assert.equal((await store.layers(key)).length, 3);
    shareClock.ms += graceMs;
    const again = await pruneOnce(bench);
    assert.deepEqual(again, [{ ...untouched, generationsRemoved: 3, layersRemoved: 3, bytesFreed: bytes }]);
    assert.deepEqual(await storedNames(store), []);
    assert.equal((await loadedFrom(bench)).outcome.status, "DOES_NOT_EXIST");
  }));

test("the save after an eviction is retained, and the bytes of before go", () =>
  withBench(async (bench) => {
    const { store, pod, shareClock, graceMs } = bench;
    await saveTo(store, pod("saver", { "x": "old" }));
    await pruneOnce(bench, { policy: { maxTotalBytes: 0 } });
    assert.equal((await saveTo(store, pod("next", { "y": "new" }))).status, "SUCCESS");
    const { layers } = await headOf(store);
    assert.deepEqual((await loadedFrom(bench)).files, { "y": "new" });
    shareClock.ms += graceMs;
    await pruneOnce(bench);
    assert.deepEqual(await storedNames(store), namesOf(layers));
    await pruneUntilSettled(bench);
    await assertSettled(store);
    assert.deepEqual((await loadedFrom(bench)).files, { "y": "new" });
  }));

/** These change nothing in any store. */
const reading = new Set([
  "keys",
  "generationNumbers",
  "readGeneration",
  "generationMadeMs",
  "layers",
  "openLayer",
  "marks",
  "lastUseMs",
  "freeBytes",
]);

/** All that is stored of the cache. */
async function bytesOf(store: Store): Promise<number> {
  return (await store.layers(key)).reduce((sum, layer) => sum + layer.bytes, 0);
}

test("a dry run writes nothing and says what would be evicted and removed", () =>
  withBench(async (bench) => {
    const { store, world, shareClock, graceMs } = bench;
    const { a, b } = await replacedThrice(bench);
    await commit(bench, [await publish(bench, "newer", otherKey)], otherKey);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    await store.noteUse(otherKey);
    // Something is evicted, condemned and removed by now, were this not a dry run.
    const system = { clock: wallClock(() => shareClock.ms), random: world.random };
    const { store: watch, calls } = recorded(store);
    const policy = { maxAgeMs: graceMs - 1, keepLast: 2 };
    const pruned = await pruneOnce({ ...bench, store: watch }, { system, policy, dryRun: true });
    assert.deepEqual(pruned, [
      { ...untouched, key: otherKey },
      {
        key,
        evicted: true,
        generationsRemoved: 2,
        layersRemoved: 2,
        bytesFreed: a.bytes + b.bytes,
        bytesWaiting: await bytesOf(store) - a.bytes - b.bytes,
      },
    ]);
    assert.deepEqual(calls.map((call) => call.split(" ")[0] ?? "").filter((name) => !reading.has(name)), []);
  }));

test("a history of which no generation is valid is left alone, with a notice", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const layer = await publish(bench, "layer");
    await store.putGeneration(key, 1, Buffer.from("torn"));
    const notices: string[] = [];
    for (let run = 0; run < 3; run++) {
      const pruned = await pruneOnce(bench, {
        policy: { maxTotalBytes: 0 },
        notice: (text) => notices.push(text),
      });
      assert.deepEqual(pruned, [untouched]);
      shareClock.ms += graceMs;
    }
    const notice = "test-key is left as it is: none of its generations is valid";
    assert.deepEqual(notices, [notice, notice, notice]);
    assert.deepEqual(await store.generationNumbers(key), [1]);
    assert.deepEqual(await storedNames(store), [layer.name]);
    assert.deepEqual(await store.marks(key), []);
  }));

test("a mark of a bad layer goes once no generation names the layer, and not before", () =>
  withBench(async (bench) => {
    const { store } = bench;
    const { a, b, c, d } = await replacedThrice(bench);
    const unnamed = await publish(bench, "unnamed");
    const marked = [a, b, c, d, unnamed];
    for (const { name } of marked) await putMark(store, key, { kind: "bad_layer", layer: name });
    await pruneOnce(bench);
    const badOf = async () =>
      (await readMarks(store, key)).flatMap((mark) => mark.kind === "bad_layer" ? [mark.layer] : []).sort();
    // Superseded generations are named as well, as long as they are there.
    assert.deepEqual(await badOf(), namesOf([a, b, c, d]));
    await pruneUntilSettled(bench);
    assert.deepEqual(await badOf(), namesOf([c, d]));
  }));

test("a mark of several candidates stays until all of them are settled", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b } = await publishFour(bench);
    await pruneOnce(bench);
    const marks = await store.marks(key);
    await commit(bench, [a]);
    shareClock.ms += graceMs - 1;
    await pruneOnce(bench);
    assert.deepEqual(await store.marks(key), marks);
    shareClock.ms += 1;
    await pruneOnce(bench);
    assert.deepEqual(await storedNames(store), [a.name]);
    assert.deepEqual(await store.marks(key), []);
    assert.ok(!await hasLayer(store, key, b.name));
  }));

test("a prune that cannot leave marks says so, and has done the rest", () =>
  withBench(async (bench) => {
    const { store, shareClock, graceMs } = bench;
    const { a, b, c, d } = await publishFour(bench);
    for (const layers of [[a], [a, b], [a, b, c], [b, c, d]]) await commit(bench, layers);
    shareClock.ms += graceMs;
    const notices: string[] = [];
    const full = {
      ...store,
      putMark: () => Promise.reject(new CacheError("store_io", "the share is full")),
    };
    await publish(bench, "orphan");
    const [pruned] = await pruneOnce({ ...bench, store: full }, { notice: (text) => notices.push(text) });
    assert.equal(pruned?.generationsRemoved, 2);
    assert.deepEqual(notices, [
      "what nobody names in test-key could not be noted for the next prune: the share is full",
    ]);
  }));

test("a prune that loses every commit waits a moment after each, and ends as contended with nothing removed", () =>
  withBench(async (bench) => {
    const { store, world, shareClock, graceMs } = bench;
    const { a, b, c, d } = await replacedThrice(bench);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    let puts = 0;
    let waits = 0;
    world.clock.onSleep = () => waits++;
    const busy: Store = {
      ...store,
      putGeneration: async (at) => {
        puts++;
        await commit(bench, [d], at);
        return "taken";
      },
    };
    await assert.rejects(
      pruneOnce({ ...bench, store: busy }),
      new CacheError(
        "contended",
        "Cannot prune test-key as other pods kept winning; the next prune tries again",
      ),
    );
    assert.ok(puts > 10, `it gave up after ${puts}`);
    assert.equal(waits, puts);
    assert.deepEqual(await storedNames(store), namesOf([a, b, c, d]));
    assert.deepEqual((await store.generationNumbers(key)).slice(0, 4), [1, 2, 3, 4]);
    await pruneUntilSettled(bench);
    await assertSettled(store);
  }));

test("a share that fails fails the prune", () =>
  withBench(async (bench) => {
    const { store } = bench;
    await replacedThrice(bench);
    const failing = {
      ...store,
      layers: () => Promise.reject(new CacheError("store_io", "the share is gone")),
    };
    await assert.rejects(pruneOnce({ ...bench, store: failing }), { code: "store_io" });
  }));

test("a prune that is interrupted begins with no further cache, and no further round", () =>
  withBench(async (bench) => {
    const { store, world, shareClock, graceMs } = bench;
    const { a, b, c, d } = await replacedThrice(bench);
    await pruneOnce(bench);
    shareClock.ms += graceMs;
    const controller = new AbortController();
    const interrupted = before(store, ({ name }) => {
      if (name === "putGeneration") controller.abort(new Error("interrupted"));
    });
    // This one sleeps through it.
    const system = { clock: wallClock(() => 0), random: world.random };
    const { signal } = controller;
    await assert.rejects(pruneOnce({ ...bench, store: interrupted }, { system, signal }), {
      message: "interrupted",
    });
    assert.deepEqual(await storedNames(store), namesOf([a, b, c, d]));
    const { store: watch, calls } = recorded(store);
    await assert.rejects(pruneOnce({ ...bench, store: watch }, { system, signal }), {
      message: "interrupted",
    });
    assert.deepEqual(calls.map((call) => call.split(" ")[0] ?? "").filter((name) => !reading.has(name)), [
      "nowMs",
    ]);
  }));
