/** Saves on a share that fails now and then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CacheError } from "../lib/errors.ts";
import type { Store } from "../lib/store.ts";
import { failWith, intercept, key } from "./pods.ts";
import {
  countCalls,
  type Files,
  layerNames,
  loaded,
  saveLayers,
  saveTo,
  watchPuts,
  withBench,
} from "./workbench.ts";

const first: Files = { "a/x": "x", "a/y": "y" };
const second: Files = { "b/z": "z" };

/** The store, of which the first `times` calls of `name` fail: before they had an effect, or after. */
function failing(store: Store, { name, times, late }: { name: string; times: number; late?: true }): Store {
  let left = times;
  const failure = () => new CacheError("store_io", "the share failed");
  if (!late) {
    return intercept(store, (call) => {
      if (call.name === name && left-- > 0) throw failure();
    });
  }
  return {
    ...store,
    putGeneration: async (at, n, bytes) => {
      const answer = await store.putGeneration(at, n, bytes);
      if (left-- > 0) throw failure();
      return answer;
    },
  };
}

test("after a failed flush the layer is packed anew, under another name", () =>
  withBench(async (bench) => {
    const begun = countCalls(bench.store);
    const { store } = begun;
    const published: string[] = [];
    let isFirst = true;
    const flaky: Store = {
      ...store,
      beginLayer: async (at) => {
        const upload = await store.beginLayer(at);
        return {
          ...upload,
          write: upload.write,
          publish: async () => {
            const name = await upload.publish();
            published.push(name);
            // The flush of layers/ comes after the layer has its name.
            if (isFirst) throw (isFirst = false, new CacheError("store_io", "EIO"));
            return name;
          },
          [Symbol.asyncDispose]: () => upload[Symbol.asyncDispose](),
        };
      },
    };
    assert.equal((await saveTo(flaky, bench.pod("saver", first))).status, "SUCCESS");
    assert.equal(begun.count("beginLayer"), 2);
    assert.equal(new Set(published).size, 2);
    assert.deepEqual(await layerNames(store), [published[1]]);
    assert.deepEqual(await loaded(bench), first);
  }));

test("a share that fails twice in a row is asked again, whatever it is asked for", async () => {
  for (
    const name of [
      "generationNumbers",
      "beginLayer",
      "write",
      "publish",
      "openLayer",
      "putGeneration",
      "freeBytes",
      "take",
    ]
  ) {
    await withBench(async (bench) => {
      const saver = bench.pod("saver", first);
      // The sweep before it is best effort in every store.
      const outcome = await saveTo(failing(bench.store, { name, times: 2 }), saver);
      assert.equal(outcome.status, "SUCCESS", name);
      assert.deepEqual(await loaded(bench), first);
    });
  }
});

test("a put that fails twice after it had its effect is found in the store, and said to be a SUCCESS", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const outcome = await saveTo(
      failing(bench.store, { name: "putGeneration", times: 2, late: true }),
      bench.pod("saver", second),
    );
    assert.deepEqual([outcome.status, outcome.generation], ["SUCCESS", 2]);
  }));

test("a share that fails three times in a row is the error that it failed with", async () => {
  for (const name of ["generationNumbers", "write", "publish", "putGeneration"]) {
    await withBench(async (bench) => {
      const store = failing(bench.store, { name, times: 3 });
      await assert.rejects(saveTo(store, bench.pod("saver", first)), {
        code: "store_io",
        message: "the share failed",
      });
      assert.deepEqual(await bench.store.generationNumbers(key), [], name);
      // What this one held is free: the next does not wait.
      assert.equal(await bench.store.leases.look({ kind: "pack", key }), undefined);
      assert.equal((await saveTo(bench.store, bench.pod("saver"))).status, "SUCCESS");
    });
  }
});

test("failures that others' successes come between are not counted together", () =>
  withBench(async (bench) => {
    let puts = 0;
    const flaky: Store = {
      ...bench.store,
      putGeneration: async (at, n, bytes) => {
        puts++;
        if (puts % 3 !== 0) throw new CacheError("store_io", "the share failed");
        if (puts < 9) return "taken";
        return await bench.store.putGeneration(at, n, bytes);
      },
    };
    assert.equal((await saveTo(flaky, bench.pod("saver", first))).status, "SUCCESS");
    assert.equal(puts, 9);
  }));

test("a full share is no failure that goes away: it is the error at once", () =>
  withBench(async ({ store, pod }) => {
    const { store: counted, count } = countCalls(store);
    const full = intercept(counted, ({ name }) => {
      if (name === "write") throw new CacheError("no_space", "the volume is full");
    });
    await assert.rejects(saveTo(full, pod("saver", first)), { code: "no_space" });
    assert.equal(count("beginLayer"), 1);
  }));

test("a tree that is too large for a cache of nothing is packed once", () =>
  withBench(async (bench) => {
    const { store, count } = countCalls(bench.store);
    const saver = bench.pod("saver", first, { config: { maxCacheSizeMb: 1e-6 } });
    await assert.rejects(saveTo(store, saver), { code: "cache_too_large" });
    assert.equal(count("beginLayer"), 1);
  }));

test("where all that is new was left out, SKIPPED says so and points at the warnings", async () => {
  const leftOut = "the store has every file but those that were left out: see the warnings";
  await withBench(async (bench) => {
    await saveLayers(bench, [{ a: "a file" }]);
    const saver = bench.pod("saver", { "a/b": "below" });
    assert.deepEqual(await saveTo(bench.store, saver), { status: "SKIPPED", generation: 1, reason: leftOut });
    assert.equal(saver.notices.length, 1);
  });
  // One file cannot be read, and another pod was faster with the other.
  await withBench(async (bench) => {
    const { store, world, pod } = bench;
    const files = intercept(world.fs, ({ name, args }) => {
      if (name === "open" && args[0] === `${saver.dir}/unreadable`) failWith("EACCES")();
    });
    const saver = pod("saver", { a: "a", unreadable: "u" }, { fs: files });
    const racing = watchPuts(store, () => saveTo(store, pod("winner", { a: "a" })));
    assert.deepEqual(await saveTo(racing, saver), { status: "SKIPPED", generation: 1, reason: leftOut });
    assert.equal(saver.notices.length, 1);
  });
});
