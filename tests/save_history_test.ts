/** Saves that meet a history with more in it than other saves: damage, compaction, waiting, leftovers. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { compact } from "../lib/compaction.ts";
import { CacheError } from "../lib/errors.ts";
import { load } from "../lib/load.ts";
import { markBadLayer, putMark, readMarks } from "../lib/marks.ts";
import { save } from "../lib/save.ts";
import type { Store } from "../lib/store.ts";
import { memoryStore } from "../lib/store/memory.ts";
import { withRotten } from "./damage.ts";
import { FakeClock } from "./fake_clock.ts";
import {
  countPaths,
  inDirectoryAtOnce,
  inMemory,
  key,
  makePod,
  readFiles,
  rootName,
  writeFile,
  writeFiles,
} from "./pods.ts";
import {
  type Bench,
  countCalls,
  type Files,
  headOf,
  layerNames,
  loaded,
  saveLayers,
  saveTo,
  watchPuts,
  withBench,
} from "./workbench.ts";

const first: Files = { "a/x": "x", "a/y": "y" };
const second: Files = { "b/z": "z" };

/** The store as it is from now on, with the newest layer damaged for good. */
async function rottenNewest({ store, base }: Bench): Promise<{ store: Store; name: string }> {
  const name = (await layerNames(store)).at(-1) ?? assert.fail();
  const file = path.join(base, "store/native", key, "layers", name);
  if (!fs.existsSync(file)) return { store: withRotten(store, name), name };
  const bytes = fs.readFileSync(file);
  bytes[3] = (bytes[3] ?? 0) ^ 1;
  fs.writeFileSync(file, bytes);
  return { store, name };
}

for (const kind of [inMemory, inDirectoryAtOnce]) {
  test(`a damaged layer in a store ${kind.name}: a load falls back, the next save heals, and nobody deletes anything`, () =>
    withBench(async (bench) => {
      await saveLayers(bench, [first, second]);
      const { store, name } = await rottenNewest(bench);
      const reader = bench.pod("reader");
      const fallback = await load(reader, store);
      assert.ok(fallback.status === "SUCCESS");
      assert.equal(fallback.generation, 1);
      assert.deepEqual(readFiles(reader.dir), first);
      assert.deepEqual((await readMarks(store, key)).map((mark) => mark.kind === "bad_layer" && mark.layer), [
        name,
      ]);

      const saver = bench.pod("saver", { ...first, ...second, more: "m" });
      const outcome = await saveTo(store, saver);
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.generation, 3);
      // Those of the damaged layer count as absent.
      assert.equal(outcome.totals.files, 2);
      assert.ok(saver.notices[0]?.startsWith(`layer ${name} is no longer part of the cache: `));
      assert.equal((await layerNames(store)).includes(name), false);
      assert.deepEqual(await readMarks(store, key), []);

      const target = bench.pod("target");
      assert.equal((await load(target, store)).status, "SUCCESS");
      assert.deepEqual(readFiles(target.dir), { ...first, ...second, more: "m" });
      assert.deepEqual(target.notices, []);
      assert.equal((await saveTo(store, saver)).status, "SKIPPED");
    }, kind));
}

test("a pod that has nothing new heals as well, by a generation without what is damaged", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second]);
    const { store, name } = await rottenNewest(bench);
    await markBadLayer(store, key, name);
    const outcome = await saveTo(store, bench.pod("saver", first));
    assert.ok(outcome.status === "SUCCESS");
    assert.deepEqual([outcome.generation, outcome.totals.files], [3, 0]);
    assert.deepEqual(await loaded({ ...bench, store }), first);
  }));

test("a damage that another pod heals meanwhile is none of this one's doing: SKIPPED", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second]);
    const { store, name } = await rottenNewest(bench);
    await markBadLayer(store, key, name);
    const pods = ["p1", "p2", "p3"].map((each) => bench.pod(each, { ...first, ...second }));
    const outcomes = await Promise.all(pods.map((pod) => saveTo(store, pod)));
    assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["SKIPPED", "SKIPPED", "SUCCESS"]);
    assert.deepEqual(await loaded({ ...bench, store }), { ...first, ...second });
    const all = Object.keys({ ...first, ...second });
    assert.deepEqual(
      await countPaths(store),
      Object.fromEntries(all.map((file) => [`${rootName}/${file}`, 1])),
    );
  }));

/** What the marks of the store say. */
async function markTexts(store: Store): Promise<string[]> {
  return (await store.marks(key)).map(({ bytes }) => Buffer.from(bytes).toString());
}

/** The name of a layer that is in no store. */
const absentLayer = `${"0".repeat(64)}-${"0".repeat(32)}.tar.zst`;

test("a save removes the marks on layers that no head names any more, and no others", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await saveLayers(bench, [first]);
    await markBadLayer(store, key, absentLayer);
    await putMark(store, key, { kind: "candidates", layers: [absentLayer] });
    await store.putMark(key, new TextEncoder().encode("of a later program"));
    const [, ...others] = await markTexts(store);
    await saveTo(store, pod("saver", second));
    assert.deepEqual(await markTexts(store), others);
  }));

test("a mark that comes on a named layer after the last look stays for the next save to verify", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    const [layer] = await saveLayers(bench, [first]);
    let looks = 0;
    const marking = (at: number): Store => ({
      ...store,
      marks: async (of) => {
        if (++looks === at) await markBadLayer(store, key, layer?.name ?? "");
        return await store.marks(of);
      },
    });
    await saveTo(marking(Infinity), pod("first saver", { one: "1" }));
    const last = looks;
    looks = 0;
    await saveTo(marking(last), pod("second saver", { two: "2" }));
    assert.equal(looks, last);
    assert.equal((await readMarks(store, key)).length, 1);
    await saveTo(store, pod("third saver", { three: "3" }));
    assert.deepEqual(await readMarks(store, key), []);
  }));

test("a layer whose files another pod was faster with is not committed by a heal either", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second]);
    const { store, name } = await rottenNewest(bench);
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt > 1) return;
      await saveTo(store, bench.pod("winner", { c: "c" }));
      await markBadLayer(store, key, name);
    });
    assert.equal((await saveTo(racing, bench.pod("saver", { c: "c" }))).status, "SUCCESS");
    assert.deepEqual(
      await countPaths(store),
      Object.fromEntries(
        [...Object.keys(first), "c"].map((file) => [`${rootName}/${file}`, 1]),
      ),
    );
    assert.equal((await layerNames(store)).includes(name), false);
  }));

/** Merges everything, as another pod's save does. */
async function compactAll({ pod }: Bench, store: Store): Promise<void> {
  await compact(pod("compactor", {}, { config: { compactAfterLayers: 1 } }), store);
}

test("a layer that another pod's compaction absorbed before its saver looked is a SUCCESS", async () => {
  for (const answer of ["put", "taken"] as const) {
    await withBench(async (bench) => {
      const { store } = bench;
      await saveLayers(bench, [first]);
      const absorbing: Store = {
        ...store,
        putGeneration: async (at, n, bytes) => {
          await store.putGeneration(at, n, bytes);
          await compactAll(bench, store);
          return answer;
        },
      };
      const outcome = await saveTo(absorbing, bench.pod("saver", second));
      assert.ok(outcome.status === "SUCCESS");
      assert.deepEqual([outcome.generation, outcome.totals.files], [3, 1]);
      assert.equal((await layerNames(store)).length, 1);
      assert.deepEqual(await loaded(bench), { ...first, ...second });
    });
  }
});

test("a save that makes one layer too many compacts the history, and says so", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await saveLayers(bench, [first, second]);
    const saver = pod("saver", { c: "c" }, { config: { compactAfterLayers: 2 } });
    const outcome = await saveTo(store, saver);
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.generation, 3);
    const { manifest } = await headOf(store);
    assert.equal(manifest.n, 4);
    assert.equal(manifest.layers[0]?.replaces?.length, 3);
    assert.match(saver.informed.at(-1) ?? "", /^3 of 3 layers, .* become one of /);
    assert.deepEqual(await loaded(bench), { ...first, ...second, c: "c" });
  }));

test("a saver that is not the packer leaves the history as it is", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await saveLayers(bench, [first, second]);
    // A packer that lives for ever: its lease says something else at every look.
    let looks = 0;
    const busy: Store = {
      ...store,
      leases: {
        ...store.leases,
        take: (place, holder) =>
          place.kind === "pack" ? Promise.resolve(undefined) : store.leases.take(place, holder),
        look: (place) => place.kind === "pack" ? Promise.resolve(`${looks++}`) : store.leases.look(place),
      },
    };
    const saver = pod("saver", { c: "c" }, { config: { compactAfterLayers: 2, saveTimeoutS: 10 } });
    assert.equal((await saveTo(busy, saver)).status, "SUCCESS");
    assert.equal((await layerNames(store)).length, 3);
    assert.deepEqual(saver.informed, ["waiting for another pod that is packing this cache"]);
  }));

test("a history that cannot be tidied is a notice, and what was saved is saved", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second]);
    let puts = 0;
    const store: Store = {
      ...bench.store,
      putGeneration: async (at, n, bytes) => {
        if (++puts > 1) throw new CacheError("store_io", "the share failed");
        return await bench.store.putGeneration(at, n, bytes);
      },
    };
    const saver = bench.pod("saver", { c: "c" }, { config: { compactAfterLayers: 2 } });
    assert.equal((await saveTo(store, saver)).status, "SUCCESS");
    assert.deepEqual(saver.notices, ["the history was not tidied: the share failed"]);
    assert.deepEqual(await loaded(bench), { ...first, ...second, c: "c" });
  }));

test("whoever is told to stop once its files are saved ends well, and says nothing of tidying", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await saveLayers(bench, [first, second]);
    const controller = new AbortController();
    const saver = pod("saver", { c: "c" }, { config: { compactAfterLayers: 2 }, signal: controller.signal });
    let begun = 0;
    const stopping: Store = {
      ...store,
      beginLayer: (at) => {
        // The second is the compaction's.
        if (++begun === 2) controller.abort(new CacheError("interrupted", "interrupted by SIGTERM"));
        return store.beginLayer(at);
      },
    };
    assert.equal((await saveTo(stopping, saver)).status, "SUCCESS");
    assert.equal(begun, 2);
    assert.deepEqual(saver.notices, []);
    assert.equal((await layerNames(store)).length, 3);
  }));

/** Lets time pass, a moment at each turn of the event loop, until `work` is done: it waits for a thread as well. */
async function letPass<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  work.then(settle, settle);
  while (!settled) await (clock.sleeping > 0 ? clock.advance(20) : setImmediate());
  return await work;
}

test("replicas with the same files do not all pack them: one does, while the others wait", () =>
  withBench(async ({ base, world }) => {
    const clock = new FakeClock();
    const { store, count } = countCalls(memoryStore({ random: world.random, clock }));
    const pods = ["p1", "p2", "p3", "p4", "p5"].map((name) => {
      const pod = makePod({ ...world, clock }, path.join(base, name));
      writeFiles(pod.dir, first);
      return pod;
    });
    const outcomes = await letPass(clock, Promise.all(pods.map((pod) => saveTo(store, pod))));
    assert.equal(outcomes.filter(({ status }) => status === "SUCCESS").length, 1);
    assert.equal(outcomes.filter(({ status }) => status === "SKIPPED").length, 4);
    assert.equal(count("beginLayer"), 1);
    assert.equal(await store.leases.look({ kind: "pack", key }), undefined);
    const told = pods.map(({ informed }) => informed.length).toSorted();
    assert.deepEqual(told, [0, 1, 1, 1, 1]);
  }));

test("what killed savers and loads left is swept by any save, one that has nothing to add included", () =>
  withBench(async (bench) => {
    const { base, store, pod, world } = bench;
    await saveLayers(bench, [first]);
    const incoming = path.join(base, "store/native", key, "incoming");
    const leftover = path.join(incoming, `${"a".repeat(32)}.tar.zst`);
    const young = path.join(incoming, `${"b".repeat(32)}.tar.zst`);
    const saver = pod("saver", first);
    const staging = path.join(saver.dir, `.b10-${"c".repeat(32)}`);
    const make = () => {
      writeFile(leftover, "half");
      fs.writeFileSync(young, "half");
      writeFile(path.join(staging, "x"), "half");
      fs.utimesSync(staging, 1, 1);
    };
    // This machine's clock is behind the disk's by years: what is that old looks old to it all the same.
    assert.ok(world.clock.nowMs() < Date.now() - 1e9);
    for (const files of [{}, second]) {
      make();
      const outcome = await save(pod("saver", files), () => Promise.resolve(store));
      assert.equal(outcome.status, Object.keys(files).length > 0 ? "SUCCESS" : "SKIPPED");
      assert.deepEqual([leftover, young, staging].map((each) => fs.existsSync(each)), [false, true, false]);
    }
  }, inDirectoryAtOnce));
