/** Loads of a history that is damaged or moves on meanwhile, and what they note for those who come later. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { CacheError } from "../lib/errors.ts";
import { load } from "../lib/load.ts";
import { readMarks } from "../lib/marks.ts";
import { PodState } from "../lib/pod_state.ts";
import { stagingPrefix } from "../lib/roots.ts";
import type { Store } from "../lib/store.ts";
import { openStore } from "../lib/store/directory.ts";
import { sha256Of, textBytes } from "./archive/examples.ts";
import { withRotten } from "./damage.ts";
import {
  failWith,
  inDirectoryAtOnce,
  intercept,
  key,
  oldMtimeNs,
  type Pod,
  readFiles,
  realFiles,
  rootName,
  writeFile,
} from "./pods.ts";
import { cacheError } from "./store/examples.ts";
import {
  type Bench,
  countCalls,
  type Files,
  layerNames,
  putChanged,
  saveLayers,
  saveTo,
  withBench,
} from "./workbench.ts";

const first: Files = { "a/x": "file x", "a/y": "y" };
const second: Files = { "b/z": "z" };

async function badLayers(store: Store): Promise<string[]> {
  return (await readMarks(store, key)).flatMap((mark) => mark.kind === "bad_layer" ? [mark.layer] : []);
}

test("a load that finds a layer damaged or absent leaves a mark, and those after it leave no other", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second, { c: "c" }]);
    const { store, pod } = bench;
    const [, damaged = "", absent = ""] = await layerNames(store);
    const rotten = withRotten(store, damaged);
    await store.removeLayer(key, absent);
    for (let reader = 1; reader <= 3; reader++) {
      const target = pod(`target ${reader}`);
      const outcome = await load(target, rotten);
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.generation, 1);
      assert.deepEqual(target.notices.map((text) => text.slice(0, 30)), [
        "generation 3 cannot be loaded:",
        "generation 2 cannot be loaded:",
      ]);
      assert.deepEqual((await badLayers(store)).toSorted(), [damaged, absent].toSorted());
    }
  }));

test("a load of what is in order leaves no mark, and neither does one that has no need of a damaged layer's frames", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second]);
    const { store, pod } = bench;
    await load(pod("target"), store);
    const [, newest = ""] = await layerNames(store);
    // What that layer holds is on the pod already: only its index is read.
    const outcome = await load(pod("has it", second), withRotten(store, newest));
    assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SUCCESS", 2]);
    assert.deepEqual(await store.marks(key), []);
  }));

test("a reader that may not write to the share falls back all the same, and tells its user alone", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second]);
    const { world, base, store, pod } = bench;
    await store.removeLayer(key, (await layerNames(store))[1] ?? "");
    const readOnly = intercept(world.fs, ({ name, args }) => {
      const isOnShare = String(args[0]).startsWith(path.join(base, "store"));
      const isReading = ["stat", "lstat", "list", "freeBytes"].includes(name) ||
        (name === "open" && args[1] === "r");
      if (isOnShare && !isReading) failWith("EROFS")();
    });
    const shared = await openStore({ ...world, fs: readOnly }, path.join(base, "store")) ?? assert.fail();
    const target = pod("target");
    const outcome = await load(target, shared);
    assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SUCCESS", 1]);
    assert.equal(target.notices.length, 1);
    assert.deepEqual(await store.marks(key), []);
  }, inDirectoryAtOnce));

test("a share that fails where a mark is looked for or put changes nothing for the load", async () => {
  for (const failing of ["marks", "putMark"]) {
    await withBench(async (bench) => {
      await saveLayers(bench, [first, second]);
      const { store, pod } = bench;
      await store.removeLayer(key, (await layerNames(store))[1] ?? "");
      const flaky = intercept(store, ({ name }) => {
        if (name === failing) throw new CacheError("store_io", "the share failed");
      });
      assert.equal((await load(pod("target"), flaky)).status, "SUCCESS");
    });
  }
});

/** The store, of which something becomes before its `at`-th call of `name`, as seen by this one reader. */
function meanwhile(
  store: Store,
  { name, at, act }: { name: "openLayer" | "readGeneration"; at: number; act: () => Promise<unknown> },
): Store {
  let calls = 0;
  const before = async (call: typeof name) => {
    if (call === name && ++calls === at) await act();
  };
  return {
    ...store,
    openLayer: async (key, layer) => (await before("openLayer"), await store.openLayer(key, layer)),
    readGeneration: async (key, n) => (await before("readGeneration"), await store.readGeneration(key, n)),
  };
}

/** What a heal and two prunes leave: one newer generation, and nothing of what was before. */
async function supersede({ store, pod }: Bench): Promise<void> {
  const old = await layerNames(store);
  const numbers = await store.generationNumbers(key);
  await putChanged(store, () => ({ layers: [] }));
  await saveTo(store, pod("saver of the new", { "new": "new" }));
  await store.removeGenerations(key, [...numbers, (numbers.at(-1) ?? 0) + 1]);
  for (const name of old) await store.removeLayer(key, name);
}

test("a history that moves on while a load tries is looked at anew, at whatever call it does", async () => {
  for (const name of ["openLayer", "readGeneration"] as const) {
    let isReached = true;
    for (let at = 1; isReached; at++) {
      await withBench(async (bench) => {
        await saveLayers(bench, [first, second]);
        isReached = false;
        const moving = meanwhile(bench.store, {
          name,
          at,
          act: () => (isReached = true, supersede(bench)),
        });
        const target = bench.pod("target");
        const outcome = await load(target, moving);
        assert.equal(outcome.status, "SUCCESS");
        // What it had opened before is whole as well.
        const files = readFiles(target.dir);
        const isNew = "generation" in outcome && outcome.generation === 4;
        assert.deepEqual(files, isNew ? { new: "new" } : { ...first, ...second }, `${name} ${at}`);
      });
    }
  }
});

test("where the newest that was listed is gone, an older one is not loaded in its place: there is a newer", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await saveLayers(bench, [first, second]);
    const old = await store.readGeneration(key, 1) ?? assert.fail();
    const moving = meanwhile(store, {
      name: "readGeneration",
      // After the two probes beyond the end of the listing.
      at: 3,
      act: async () => {
        await saveTo(store, pod("saver of the new", { new: "new" }));
        await store.removeGenerations(key, [1, 2]);
        // A saver that slept wins a number that a prune has freed.
        await store.putGeneration(key, 1, old);
      },
    });
    const outcome = await load(pod("target"), moving);
    assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SUCCESS", 3]);
  }));

test("a newest number that is listed and never opens is looked for three times; then an older generation will do", () =>
  withBench(async ({ store, pod }) => {
    await saveLayers({ store, pod }, [first, second]);
    let looks = 0;
    const stale: Store = {
      ...store,
      generationNumbers: async (at) => (looks++, await store.generationNumbers(at)),
      readGeneration: (at, n) => n === 2 ? Promise.resolve(undefined) : store.readGeneration(at, n),
    };
    const outcome = await load(pod("target"), stale);
    assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SUCCESS", 1]);
    assert.equal(looks, 3);
  }));

test("damage in a history that stands still is not looked at again", () =>
  withBench(async (bench) => {
    const [layer] = await saveLayers(bench, [first]);
    const { store, count } = countCalls(withRotten(bench.store, layer?.name));
    await assert.rejects(load(bench.pod("target"), store), cacheError("bad_layer"));
    assert.equal(count("openLayer"), 1);
  }));

test("a history that keeps moving on, and is damaged each time, is given up at the third look", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    let opened = 0;
    const moving: Store = {
      ...bench.store,
      openLayer: async () => {
        opened++;
        await putChanged(bench.store, () => ({}));
        return undefined;
      },
    };
    await assert.rejects(load(bench.pod("target"), moving), cacheError("bad_layer", /is not in the store$/));
    // One generation at the first look, and two, and four more: each look finds those that came meanwhile.
    assert.equal(opened, 1 + 2 + 4);
  }));

test("a listing of which nothing opens is looked at anew, and is store_io the third time: never a miss", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    for (
      const [staleLooks, expected] of [[0, "SUCCESS"], [1, "SUCCESS"], [2, "SUCCESS"], [
        3,
        "store_io",
      ]] as const
    ) {
      let looks = 0;
      const stale: Store = {
        ...bench.store,
        generationNumbers: async (at) => (looks++, await bench.store.generationNumbers(at)),
        readGeneration: (at, n) =>
          looks <= staleLooks ? Promise.resolve(undefined) : bench.store.readGeneration(at, n),
      };
      const ended = await load(bench.pod(`target ${staleLooks}`), stale)
        .then(({ status }) => status, (error: CacheError) => error.code);
      assert.equal(ended, expected);
      assert.equal(looks, Math.min(staleLooks + 1, 3));
    }
  }));

/** A pod with a state of its own, and a look at it. */
function stateful(bench: Bench, name: string, files = bench.world.fs) {
  const dir = path.join(bench.base, `state of ${name}`);
  fs.mkdirSync(dir, { recursive: true });
  const state = new PodState({ fs: files, random: bench.world.random }, dir);
  const pod = bench.pod(name, {}, { state, fs: files });
  const recorded = async () =>
    Object.fromEntries(await state.restored({ storeId: bench.store.id, key, roots: pod.roots }));
  return { pod, dir, recorded };
}

/** What is to be recorded of these files as they lie on the pod. */
async function expectedRecord(pod: Pod, files: Files): Promise<Record<string, unknown>> {
  const entries = Object.entries(files).map(async ([file, content]) => {
    const { ino, size, mtimeNs, ctimeNs } = await realFiles.lstat(path.join(pod.dir, file));
    return [`${rootName}/${file}`, {
      sha256: sha256Of(textBytes(content)),
      stat: { ino, size, mtimeNs, ctimeNs },
    }];
  });
  return Object.fromEntries(await Promise.all(entries));
}

test("a load records what it restored, with what lies there now, and adds to what earlier ones did", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const { pod, recorded } = stateful(bench, "target");
    // As long and as old as the stored one: it was not restored all the same.
    writeFile(path.join(pod.dir, "a/y"), "Y");
    await load(pod, bench.store);
    const own = { "a/x": first["a/x"] ?? "" };
    assert.deepEqual(await recorded(), await expectedRecord(pod, own));
    await saveLayers(bench, [second]);
    await load(pod, bench.store);
    assert.deepEqual(await recorded(), await expectedRecord(pod, { ...own, ...second }));
  }));

test("a load that restores nothing records nothing", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const { pod, dir } = stateful(bench, "target");
    for (const [file, content] of Object.entries(first)) writeFile(path.join(pod.dir, file), content);
    assert.equal((await load(pod, bench.store)).status, "SKIPPED");
    assert.deepEqual(fs.readdirSync(dir), []);
  }));

test("a file that was put into a directory, and is something else when it is recorded, counts as this pod's own", async () => {
  const oldS = Number(oldMtimeNs / 1_000_000n) / 1_000;
  const changes: readonly ((file: string) => void)[] = [
    (file) => fs.appendFileSync(file, "longer"),
    // Each of the three that tell is enough: size, time, kind.
    (file) => (fs.appendFileSync(file, "longer"), fs.utimesSync(file, oldS, oldS)),
    (file) => (fs.rmSync(file), fs.symlinkSync("6 long", file), fs.lutimesSync(file, oldS, oldS)),
    (file) => fs.writeFileSync(file, "rewritten".slice(0, 6)),
    (file) => fs.rmSync(file),
    (file) => (fs.rmSync(file), fs.symlinkSync("y", file)),
    (file) => (fs.rmSync(file), fs.mkdirSync(file)),
  ];
  for (const change of changes) {
    await withBench(async (bench) => {
      await saveLayers(bench, [first]);
      const files = intercept(bench.world.fs, ({ name, args: [file] }) => {
        if (name === "lstatSync" && file === path.join(bench.base, "target/a/x")) change(String(file));
      });
      const { pod, recorded } = stateful(bench, "target", files);
      writeFile(path.join(pod.dir, "a/mine"), "mine");
      assert.equal((await load(pod, bench.store)).status, "SUCCESS");
      assert.deepEqual(Object.keys(await recorded()), [`${rootName}/a/y`]);
    });
  }
});

test("a file that came with its whole directory is recorded as it was restored, whatever becomes of it meanwhile", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const calls: string[] = [];
    const files = intercept(bench.world.fs, ({ name, args: [file] }) => {
      calls.push(name);
      // The record is opened, to be written: what was restored is in place.
      if (name === "open" && String(file).endsWith(".tmp")) {
        fs.writeFileSync(path.join(bench.base, "target/a/x"), "rewritten".slice(0, 6));
      }
    });
    const { pod, recorded } = stateful(bench, "target", files);
    assert.equal((await load(pod, bench.store)).status, "SUCCESS");
    const known = await recorded();
    assert.ok(!calls.includes("lstatSync"));
    const lying = await expectedRecord(pod, first);
    assert.deepEqual(known[`${rootName}/a/y`], lying[`${rootName}/a/y`]);
    assert.notDeepEqual(known[`${rootName}/a/x`], lying[`${rootName}/a/x`]);
  }));

test("a record that cannot be written is a notice, and what was restored stays", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const { pod, dir, recorded } = stateful(bench, "target");
    fs.rmSync(dir, { recursive: true });
    assert.equal((await load(pod, bench.store)).status, "SUCCESS");
    assert.deepEqual(readFiles(pod.dir), first);
    assert.equal(pod.notices.length, 1);
    assert.match(
      pod.notices[0] ?? "",
      /^what was restored is not recorded, so that files rewritten later are not saved: .*ENOENT/,
    );
    assert.deepEqual(await recorded(), {});
  }));

test("what killed loads left in a root is removed by any load once it is old, one that restores nothing included", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const target = bench.pod("target");
    const [old, young] = ["a", "b"].map((digit) =>
      path.join(target.dir, `${stagingPrefix}${digit.repeat(32)}`)
    );
    for (const expected of ["SUCCESS", "SKIPPED"]) {
      for (const dir of [old, young]) writeFile(path.join(dir ?? "", "half"), "half");
      fs.utimesSync(old ?? "", 1, 1);
      assert.equal((await load(target, bench.store)).status, expected);
      assert.deepEqual([old, young].map((dir) => fs.existsSync(dir ?? "")), [false, true]);
    }
  }));

test("a load passes over a hundred numbers that are no generations, and no more", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await saveLayers(bench, [{ a: "a" }]);
    const torn = textBytes("torn");
    for (let n = 2; n <= 100; n++) await store.putGeneration(key, n, torn);
    assert.equal((await load(pod("target"), store)).status, "SUCCESS");
    await store.putGeneration(key, 101, torn);
    await assert.rejects(
      load(pod("another"), store),
      cacheError("bad_manifest", /none of its newest 100 generations counts, down to number 2:/),
    );
  }));
