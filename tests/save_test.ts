import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { CacheError } from "../lib/errors.ts";
import { readGeneration } from "../lib/history.ts";
import { load } from "../lib/load.ts";
import { encodeGeneration } from "../lib/manifest.ts";
import { save } from "../lib/save.ts";
import type { Store } from "../lib/store.ts";
import { openOrCreateStore, openStore } from "../lib/store/directory.ts";
import {
  atEveryCall,
  type Call,
  countPaths,
  describeTree,
  environment,
  failWith,
  inDirectoryAtOnce,
  intercept,
  key,
  makePod,
  type Pod,
  type PodOptions,
  readFiles,
  readStore,
  rootName,
  storeKinds,
  type World,
  writeFile,
} from "./pods.ts";
import {
  countCalls,
  type Files,
  headOf,
  loaded,
  putChanged,
  saveTo,
  stored,
  watchPuts,
  withBench,
} from "./workbench.ts";

const cache: Files = { "a/x": "file x", "a/b/y": "file y", "single": "" };

for (const kind of storeKinds) {
  test(`a first save into a store ${kind.name} makes generation 1 of every file`, () =>
    withBench(async ({ store, pod, world }) => {
      const saver = pod("saver", cache);
      const before = describeTree(saver.dir);
      const outcome = await saveTo(store, saver);
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.generation, 1);
      assert.equal(outcome.totals.files, 3);
      assert.equal(outcome.totals.bytes, 12);
      assert.deepEqual(await readStore(store), stored(cache));
      const { manifest } = await headOf(store);
      const { layers, nonce, written_by, ...rest } = manifest;
      assert.equal(layers.length, 1);
      assert.equal(outcome.totals.storedBytes, layers[0]?.bytes);
      assert.match(nonce, /^[0-9a-f]{32}$/);
      assert.match(written_by, /^b10-compile-cache /);
      assert.deepEqual(rest, {
        format: 1,
        store_id: store.id,
        key,
        environment,
        n: 1,
        parent: null,
        created_at: new Date(world.clock.nowMs()).toISOString(),
        roots: { [rootName]: { path: saver.dir } },
        condemned: [],
        cold_start: null,
      });
      // A save changes nothing on the pod.
      assert.deepEqual(describeTree(saver.dir), before);
      assert.deepEqual(saver.notices, []);
    }, kind));

  test(`a second save into a store ${kind.name} is SKIPPED, having written nothing`, () =>
    withBench(async ({ store, shared, pod }) => {
      await saveTo(store, pod("saver", cache));
      const before = await shared.look();
      const skipped = {
        status: "SKIPPED",
        generation: 1,
        reason: "the store already has every file",
      };
      assert.deepEqual(await saveTo(store, pod("saver")), skipped);
      // Neither other bytes in a path that the store has nor fewer files are new.
      assert.deepEqual(await saveTo(store, pod("another", { "a/x": "other bytes" })), skipped);
      assert.deepEqual(await shared.look(), before);
      assert.deepEqual(await readStore(store), stored(cache));
    }, kind));

  test(`a save into a store ${kind.name} adds a layer of the files that are new, on top of the head`, () =>
    withBench(async ({ store, pod }) => {
      await saveTo(store, pod("saver", cache));
      const first = await headOf(store);
      const outcome = await saveTo(
        store,
        pod("another", { "a/x": "mine", "a/new": "new", "c/new": "newer" }),
      );
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.generation, 2);
      assert.equal(outcome.totals.files, 2);
      assert.equal(outcome.totals.bytes, 8);
      const { manifest } = await headOf(store);
      assert.deepEqual(manifest.parent, { n: 1, sha256: first.sha256 });
      assert.deepEqual(manifest.layers[0], first.manifest.layers[0]);
      assert.equal(manifest.layers[1]?.files, 2);
      // Where the first pod's root lay.
      assert.deepEqual(manifest.roots, first.manifest.roots);
      assert.deepEqual(await readStore(store), stored({ ...cache, "a/new": "new", "c/new": "newer" }));
    }, kind));

  test(`pods that save different files into a store ${kind.name} at once all end in its history`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      const names = ["p1", "p2", "p3", "p4", "p5", "p6"];
      const outcomes = await Promise.all(
        names.map((name) => saveTo(store, pod(name, { [`own/${name}`]: name, [`${name}/file`]: "f" }))),
      );
      assert.deepEqual(outcomes.map(({ status }) => status), names.map(() => "SUCCESS"));
      const head = await headOf(store);
      assert.equal(head.manifest.n, names.length);
      assert.equal(head.manifest.layers.length, names.length);
      assert.deepEqual(
        await loaded(bench),
        Object.fromEntries(names.flatMap((name) => [[`own/${name}`, name], [`${name}/file`, "f"]])),
      );
    }, kind));

  test(`of pods that save the same files into a store ${kind.name} at once one wins, and no path is there twice`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      const pods = ["p1", "p2", "p3", "p4"].map((name) => pod(name, { x: name, y: name }));
      const outcomes = await Promise.all(pods.map((saver) => saveTo(store, saver)));
      assert.equal(outcomes.filter(({ status }) => status === "SUCCESS").length, 1);
      assert.equal(outcomes.filter(({ status }) => status === "SKIPPED").length, 3);
      assert.deepEqual(await countPaths(store), { [`${rootName}/x`]: 1, [`${rootName}/y`]: 1 });
      const { x, y } = await loaded(bench);
      assert.equal(x, y);
      assert.equal((await headOf(store)).manifest.n, 1);
    }, kind));

  test(`pods whose files overlap: a store ${kind.name} has each path once`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      const trees: Files[] = [{ a: "1", b: "1" }, { b: "2", c: "2" }, { c: "3", d: "3" }, { d: "4", a: "4" }];
      const outcomes = await Promise.all(trees.map((files, at) => saveTo(store, pod(`p${at}`, files))));
      assert.ok(outcomes.every(({ status }) => status === "SUCCESS" || status === "SKIPPED"));
      assert.deepEqual(await countPaths(store), countsOf(["a", "b", "c", "d"]));
    }, kind));

  test(`a burned newest number of a store ${kind.name} is passed over`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      await saveTo(store, pod("saver", cache));
      const first = await headOf(store);
      await store.putGeneration(key, 2, new TextEncoder().encode("torn"));
      await store.putGeneration(key, 3, new Uint8Array(0));
      const outcome = await saveTo(store, pod("another", { new: "new" }));
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.generation, 4);
      assert.deepEqual((await headOf(store)).manifest.parent, { n: 1, sha256: first.sha256 });
      assert.deepEqual(await loaded(bench), { ...cache, new: "new" });
    }, kind));

  test(`a history of a store ${kind.name} in which every number is burned is started anew, above them`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      await store.putGeneration(key, 1, new TextEncoder().encode("torn"));
      await store.putGeneration(key, 2, new TextEncoder().encode("torn"));
      await assert.rejects(load(pod("target"), store), { code: "bad_manifest" });
      const outcome = await saveTo(store, pod("saver", cache));
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.generation, 3);
      assert.equal((await headOf(store)).manifest.parent, null);
      assert.deepEqual(await loaded(bench), cache);
    }, kind));
}

function countsOf(files: readonly string[]): Record<string, number> {
  return Object.fromEntries(files.map((file) => [`${rootName}/${file}`, 1]));
}

test("a pod that is read-only saves nothing, and looks at nothing", () =>
  withBench(async ({ pod }) => {
    const noFiles = intercept({} as Pod["system"]["fs"], () => assert.fail("it looked at a file"));
    const saver = pod("saver", cache, { fs: noFiles, config: { readOnly: true } });
    const outcome = await save(saver, () => assert.fail("it opened the store"));
    assert.deepEqual(outcome, { status: "SKIPPED", reason: "B10_CACHE_READ_ONLY is on" });
  }));

test("a pod with nothing to save does not even open the store", () =>
  withBench(async ({ pod }) => {
    const saver = pod("saver", { "x.lock": "", "locks/y": "" });
    const outcome = await save(saver, () => assert.fail("it opened the store"));
    assert.deepEqual(outcome, { status: "SKIPPED", reason: "there is nothing on this pod to save" });
  }));

test("what is no cache content is left out, with a notice where that is worth a word", () =>
  withBench(async ({ store, pod }) => {
    const saver = pod("saver", { "x": "x", "x.lock": "", "__pycache__/y": "" });
    fs.symlinkSync("x", path.join(saver.dir, "link"));
    assert.equal((await saveTo(store, saver)).status, "SUCCESS");
    assert.deepEqual(await readStore(store), stored({ x: "x" }));
    assert.deepEqual(saver.notices, ['"inductor/link" is left out as it must be a regular file']);
  }));

test("a file that changes all the time is left for the next save, which takes it", () =>
  withBench(async ({ store, world, pod }) => {
    let round = 0;
    const restless = intercept(world.fs, ({ name, args }) => {
      if (name === "lstat" && round > 0 && args[0] === `${saver.dir}/b`) {
        fs.appendFileSync(`${saver.dir}/b`, "+");
      }
      if (name === "open") round++;
    });
    const saver = pod("saver", { a: "a", b: "b" }, { fs: restless });
    const outcome = await saveTo(store, saver);
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.totals.files, 1);
    assert.deepEqual(await readStore(store), stored({ a: "a" }));
    assert.equal(saver.notices.length, 1);
    const now = fs.readFileSync(`${saver.dir}/b`, "utf8");
    assert.equal((await saveTo(store, pod("saver"))).status, "SUCCESS");
    assert.deepEqual(await readStore(store), stored({ a: "a", b: now }));
  }));

test("a save that loses its number to other files commits the same layer on top of the winner", () =>
  withBench(async (bench) => {
    const { pod } = bench;
    const { store, count } = countCalls(bench.store);
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt <= 3) await saveTo(bench.store, pod(`winner ${attempt}`, { [`w${attempt}`]: "w" }));
    });
    const outcome = await saveTo(racing, pod("saver", { mine: "mine" }));
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.generation, 4);
    assert.equal(count("publish"), 1);
    assert.equal(count("putGeneration"), 4);
    assert.deepEqual(await loaded(bench), { w1: "w", w2: "w", w3: "w", mine: "mine" });
  }));

test("a save that loses its number to some of its files packs the others anew", () =>
  withBench(async (bench) => {
    const { pod } = bench;
    const { store, count } = countCalls(bench.store);
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt === 1) await saveTo(bench.store, pod("winner", { x: "winner's" }));
    });
    const outcome = await saveTo(racing, pod("saver", { x: "loser's", y: "loser's" }));
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.totals.files, 1);
    assert.equal(count("publish"), 2);
    assert.deepEqual(await loaded(bench), { x: "winner's", y: "loser's" });
    assert.deepEqual(await countPaths(store), countsOf(["x", "y"]));
  }));

test("a save that loses its number to all of its files is SKIPPED", () =>
  withBench(async ({ store, pod }) => {
    const racing = watchPuts(store, () => saveTo(store, pod("winner", cache)));
    const outcome = await saveTo(racing, pod("saver", cache));
    assert.deepEqual([outcome.status, outcome.generation], ["SKIPPED", 1]);
    assert.deepEqual(await countPaths(store), countsOf(Object.keys(cache)));
  }));

test("a save that loses its number to an eviction packs everything, as the head has nothing any more", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await saveTo(store, pod("first", { a: "first" }));
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt === 1) await putChanged(store, () => ({ layers: [] }));
    });
    const outcome = await saveTo(racing, pod("saver", { a: "mine", b: "mine" }));
    assert.deepEqual([outcome.status, outcome.generation], ["SUCCESS", 3]);
    assert.deepEqual(await loaded(bench), { a: "mine", b: "mine" });
  }));

test("a save whose files were exchanged for others in the head packs those that are missing now", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await saveTo(store, pod("first", { a: "first" }));
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt > 1) return;
      await saveTo(store, pod("winner", { b: "winner's" }));
      await putChanged(store, ({ layers }) => ({ layers: layers.slice(1) }));
    });
    const outcome = await saveTo(racing, pod("saver", { a: "mine", b: "mine" }));
    assert.equal(outcome.status, "SUCCESS");
    assert.deepEqual(await loaded(bench), { a: "mine", b: "winner's" });
    assert.deepEqual(await countPaths(store), countsOf(["a", "b"]));
  }));

test("a save that left a file for the next one, and loses its number, still commits the layer that it has", () =>
  withBench(async (bench) => {
    const { world, pod } = bench;
    const { store, count } = countCalls(bench.store);
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt === 1) await saveTo(bench.store, pod("winner", { w: "w" }));
    });
    const files = intercept(world.fs, ({ name, args }) => {
      if (name === "open" && args[0] === `${saver.dir}/unreadable`) failWith("EACCES")();
    });
    const saver = pod("saver", { a: "a", unreadable: "u" }, { fs: files });
    assert.equal((await saveTo(racing, saver)).status, "SUCCESS");
    assert.equal(count("publish"), 1);
    assert.deepEqual(await loaded(bench), { a: "a", w: "w" });
  }));

test("a layer that the head condemns is not committed: its files are packed anew", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    const names: string[] = [];
    const condemning = watchPuts(store, async (manifest, attempt) => {
      const { name } = manifest.layers.at(-1) ?? assert.fail();
      names.push(name);
      if (attempt > 1) return;
      const pruned = { ...manifest, layers: [], condemned: [name] };
      await store.putGeneration(key, manifest.n, encodeGeneration(pruned).bytes);
    });
    const outcome = await saveTo(condemning, pod("saver", cache));
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.generation, 2);
    const { manifest } = await headOf(store);
    assert.deepEqual(manifest.condemned, [names[0]]);
    assert.deepEqual(manifest.layers.map(({ name }) => name), [names[1]]);
    assert.notEqual(names[0], names[1]);
    assert.deepEqual(await loaded(bench), cache);
  }));

test("what the head says about the cache is carried on", () =>
  withBench(async ({ store, pod }) => {
    await saveTo(store, pod("saver", cache));
    const { manifest } = await headOf(store);
    const condemned = [`${"a".repeat(64)}-${"b".repeat(32)}.tar.zst`];
    const roots = { ...manifest.roots, vllm: { path: "/root/.cache/vllm" } };
    const second = { ...manifest, n: 2, condemned, cold_start: 312.5, roots };
    await store.putGeneration(key, 2, encodeGeneration(second).bytes);
    await saveTo(store, pod("another", { new: "new" }));
    const head = await headOf(store);
    assert.equal(head.manifest.n, 3);
    assert.deepEqual(head.manifest.condemned, condemned);
    assert.equal(head.manifest.cold_start, 312.5);
    assert.deepEqual(head.manifest.roots, roots);
  }));

/** A store that never lets this pod's generation in. */
const deafAnswers = ["taken", "put"] as const;

for (const answer of deafAnswers) {
  test(`a put that has no effect and is answered with "${answer}" is tried until the deadline: contended`, () =>
    withBench(async (bench) => {
      const { pod, world } = bench;
      const { store, count } = countCalls(bench.store);
      const deaf: Store = { ...store, putGeneration: () => Promise.resolve(answer) };
      const saver = pod("saver", cache, { config: { saveTimeoutS: 0.5 } });
      await assert.rejects(saveTo(deaf, saver), {
        name: "CacheError",
        code: "contended",
        message: `Cannot commit to ${key} as other pods kept winning for 0.5 s, B10_CACHE_SAVE_TIMEOUT_S; ` +
          "the next save tries again",
      });
      assert.ok(world.clock.monotonicMs() > 500 && world.clock.monotonicMs() < 600);
      assert.equal(count("publish"), 1);
      assert.deepEqual(await bench.store.generationNumbers(key), []);
      assert.equal((await saveTo(bench.store, pod("saver"))).status, "SUCCESS");
    }));
}

test('a put that is answered with "taken" although it was this pod\'s that won is a SUCCESS', () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    const retransmitting: Store = {
      ...store,
      putGeneration: async (key, n, bytes) => {
        await store.putGeneration(key, n, bytes);
        return await store.putGeneration(key, n, bytes);
      },
    };
    const outcome = await saveTo(retransmitting, pod("saver", cache));
    assert.deepEqual([outcome.status, outcome.generation], ["SUCCESS", 1]);
    assert.deepEqual(await store.generationNumbers(key), [1]);
    assert.deepEqual(await loaded(bench), cache);
  }));

test("a put that fails after it had its effect is a SUCCESS, as the next look shows", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    const doubtful: Store = {
      ...store,
      putGeneration: async (key, n, bytes) => {
        await store.putGeneration(key, n, bytes);
        throw new CacheError("store_io", "the share failed");
      },
    };
    assert.equal((await saveTo(doubtful, pod("saver", cache))).status, "SUCCESS");
    assert.deepEqual(await loaded(bench), cache);
    assert.equal((await saveTo(store, pod("saver"))).status, "SKIPPED");
  }));

test("a put that fails without an effect is the error that it failed with", () =>
  withBench(async ({ store, pod }) => {
    const failing: Store = {
      ...store,
      putGeneration: () => Promise.reject(new CacheError("store_io", "the share failed")),
    };
    await assert.rejects(saveTo(failing, pod("saver", cache)), {
      code: "store_io",
      message: "the share failed",
    });
    assert.deepEqual(await store.generationNumbers(key), []);
  }));

test("SUCCESS is said after others have committed on top of it as well", () =>
  withBench(async ({ store, pod }) => {
    const overtaking: Store = {
      ...store,
      putGeneration: async (key, n, bytes) => {
        const answer = await store.putGeneration(key, n, bytes);
        await saveTo(store, pod("another", { [`new ${n}`]: "" }));
        return answer;
      },
    };
    const outcome = await saveTo(overtaking, pod("saver", cache));
    assert.deepEqual([outcome.status, outcome.generation], ["SUCCESS", 2]);
  }));

const conflicts: readonly (readonly [stored: Files, local: Files, added: Files])[] = [
  [{ "a": "a file" }, { "a/b": "below", "c": "c" }, { c: "c" }],
  [{ "a/b/c": "below" }, { "a": "a file", "c": "c" }, { c: "c" }],
  [{ "a/b/c": "below" }, { "a/b": "a file", "a/d": "d" }, { "a/d": "d" }],
  [{ "a": "1", "b/c": "2" }, { "a/x/y": "", "b": "" }, {}],
];

test("where one pod's file is another's directory, what is committed stays, with a notice for what does not", async () => {
  for (const [first, local, added] of conflicts) {
    await withBench(async (bench) => {
      const { store, pod } = bench;
      await saveTo(store, pod("first", first));
      const saver = pod("saver", local);
      const outcome = await saveTo(store, saver);
      assert.equal(outcome.status, Object.keys(added).length > 0 ? "SUCCESS" : "SKIPPED");
      assert.deepEqual(await loaded(bench), { ...first, ...added });
      const leftOut = Object.keys(local).filter((file) => !(file in added));
      assert.deepEqual(
        saver.notices.toSorted(),
        leftOut.map((file) =>
          `"inductor/${file}" is left out as the store has a file where this pod has a directory, or the reverse`
        ).toSorted(),
      );
    });
  }
});

test("pods whose files and directories conflict, all at once: one of each stays, and the cache loads", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    const trees: Files[] = [{ "a": "file", "p1": "" }, { "a/b": "below", "p2": "" }, {
      "a/b/c": "deep",
      "p3": "",
    }];
    const outcomes = await Promise.all(trees.map((files, at) => saveTo(store, pod(`p${at}`, files))));
    assert.ok(outcomes.every(({ status }) => status === "SUCCESS"));
    const { a, "a/b": below, "a/b/c": deep, ...rest } = await loaded(bench);
    assert.deepEqual(rest, { p1: "", p2: "", p3: "" });
    assert.equal([a, below, deep].filter((content) => content !== undefined).length, 1);
  }));

/** Bytes that no compression makes fewer, the same in every run. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

const limited = { config: { maxCacheSizeMb: 10_000 / (1024 * 1024) } };

for (const kind of storeKinds) {
  test(`a cache in a store ${kind.name} that would pass MAX_CACHE_SIZE_MB starts over with this pod's tree`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      const first = pod("first", { common: "from the first pod" }, limited);
      writeFile(`${first.dir}/large`, noise(6000, 1));
      await saveTo(store, first);
      const saver = pod("saver", { common: "from the second pod" }, limited);
      writeFile(`${saver.dir}/another`, noise(6000, 2));
      const outcome = await saveTo(store, saver);
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.generation, 2);
      assert.equal(outcome.totals.files, 2);
      assert.deepEqual(saver.notices, [
        "the cache starts over with this pod's files, as MAX_CACHE_SIZE_MB is reached",
      ]);
      const { manifest } = await headOf(store);
      assert.equal(manifest.layers.length, 1);
      assert.ok(outcome.totals.storedBytes < 10_000);
      assert.deepEqual(await countPaths(store), countsOf(["another", "common"]));
      assert.equal((await loaded(bench))["common"], "from the second pod");
      // The generation before stays readable, for those that are loading it.
      assert.equal((await readGeneration(store, key, 1)).kind, "valid");
      assert.equal((await saveTo(store, saver)).status, "SKIPPED");
    }, kind));

  test(`a tree that alone passes MAX_CACHE_SIZE_MB is cache_too_large, with a store ${kind.name} as it was`, () =>
    withBench(async (bench) => {
      const { store, shared, pod } = bench;
      const saver = pod("saver", {}, limited);
      writeFile(`${saver.dir}/large`, noise(12_000, 3));
      const refused = (act: () => Promise<unknown>) =>
        assert.rejects(act, {
          name: "CacheError",
          code: "cache_too_large",
          message:
            /^Cannot save 1\d\.\d kB as MAX_CACHE_SIZE_MB is 0\.0095\d+ \(10\.0 kB\); raise it, and MAX_CACHE_SIZE_CAP_MB/,
        });
      await refused(() => saveTo(store, saver));
      assert.deepEqual(await store.generationNumbers(key), []);
      await saveTo(store, pod("small", { small: "small" }));
      const before = publishedOnly(await shared.look());
      await refused(() => saveTo(store, saver));
      assert.deepEqual(publishedOnly(await shared.look()), before);
      assert.deepEqual(await loaded(bench), { small: "small" });
    }, kind));
}

/** A look at a store in memory is a record of its calls: those that only begin a layer leave nothing. */
function publishedOnly(look: unknown): unknown {
  return Array.isArray(look) ? look.filter((name) => name === "publish" || name === "putGeneration") : look;
}

test("a cache that starts over while another pod commits packs anew, and never drops what it has not seen", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    const first = pod("first", {}, limited);
    writeFile(`${first.dir}/large`, noise(6000, 1));
    await saveTo(store, first);
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt === 1) await saveTo(store, pod("winner", { "saver/a": "winner's" }));
    });
    const saver = pod("saver", { "saver/a": "mine" }, limited);
    writeFile(`${saver.dir}/another`, noise(6000, 2));
    const outcome = await saveTo(racing, saver);
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.generation, 3);
    const { manifest } = await headOf(store);
    assert.ok(manifest.layers.reduce((sum, { bytes }) => sum + bytes, 0) <= 10_000);
    assert.deepEqual(manifest.parent?.n, 2);
    assert.deepEqual(Object.keys(await countPaths(store)).toSorted(), [
      "inductor/another",
      "inductor/saver/a",
    ]);
  }));

test("a cache that no longer has room for a layer, as another pod was faster, starts over", () =>
  withBench(async ({ store, pod }) => {
    const winner = pod("winner", {}, limited);
    writeFile(`${winner.dir}/large`, noise(6000, 1));
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt === 1) await saveTo(store, winner);
    });
    const saver = pod("saver", {}, limited);
    writeFile(`${saver.dir}/another`, noise(6000, 2));
    assert.equal((await saveTo(racing, saver)).status, "SUCCESS");
    assert.equal(saver.notices.length, 1);
    assert.deepEqual(await countPaths(store), countsOf(["another"]));
  }));

test("a save that would start over, where another one did already, adds to what that one has made", () =>
  withBench(async ({ store, pod }) => {
    const first = pod("first", {}, limited);
    writeFile(`${first.dir}/large`, noise(6000, 1));
    await saveTo(store, first);
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt > 1) return;
      await saveTo(store, pod("winner", { w: "w" }));
      await putChanged(store, ({ layers }) => ({ layers: layers.slice(1) }));
    });
    const saver = pod("saver", {}, limited);
    writeFile(`${saver.dir}/another`, noise(6000, 2));
    assert.equal((await saveTo(racing, saver)).status, "SUCCESS");
    assert.deepEqual(await countPaths(store), countsOf(["another", "w"]));
  }));

const bytesPerMb = 1024 * 1024;

const spaceRules: readonly (readonly [PodOptions["config"], number])[] = [
  // To a quarter, at worst, is what compile caches shrink to.
  [{}, 2500],
  [{ minStoreSpaceMb: 0 }, 2500],
  [{ minStoreSpaceMb: 2 }, 2 * bytesPerMb],
];

test("a share with too little free space is no_space before anything is written", async () => {
  for (const [config = {}, neededBytes] of spaceRules) {
    await withBench(async ({ store, shared, pod }) => {
      const saver = pod("saver", { file: "x".repeat(10_000) }, { config });
      const before = await shared.look();
      const full: Store = { ...store, freeBytes: () => Promise.resolve(neededBytes - 1) };
      await assert.rejects(saveTo(full, saver), { name: "CacheError", code: "no_space" });
      assert.deepEqual(await shared.look(), before);
      const enough: Store = { ...store, freeBytes: () => Promise.resolve(neededBytes) };
      assert.equal((await saveTo(enough, saver)).status, "SUCCESS");
      // Where there is nothing to add no space is needed.
      assert.equal((await saveTo(full, saver)).status, "SKIPPED");
    }, inDirectoryAtOnce);
  }
});

/** Directories of a store with generation 1, of which each crash point gets a copy. */
function withTemplate(
  act: (place: { world: World; base: string; copy: () => string }) => Promise<void>,
): Promise<void> {
  return withBench(async ({ store, pod, world, base }) => {
    await saveTo(store, pod("first", { "a/first": "first" }));
    let copies = 0;
    const copy = () => {
      const dir = path.join(base, `store ${++copies}`);
      fs.cpSync(path.join(base, "store"), dir, { recursive: true });
      return dir;
    };
    pod("saver", { "a/second": "second" });
    await act({ world, base, copy });
  }, inDirectoryAtOnce);
}

const both = { "a/first": "first", "a/second": "second" };

/** Whatever a save did: readers find what was there, or all of it. @returns whether it is all. */
async function assertWhole(
  storeDir: string,
  { world, base, ended }: { world: World; base: string; ended: unknown },
): Promise<boolean> {
  const [generations, layers] = [`native/${key}/generations`, `native/${key}/layers`];
  const isComplete = fs.existsSync(path.join(storeDir, generations, "0000000002.json"));
  assert.ok(isComplete || ended !== "SUCCESS");
  if (isComplete) {
    const store = await openStore(world, storeDir) ?? assert.fail("the store is gone");
    assert.deepEqual(await readStore(store), stored(both));
    return true;
  }
  const before = path.join(base, "store");
  assert.deepEqual(readFiles(path.join(storeDir, generations)), readFiles(path.join(before, generations)));
  const layersNow = readFiles(path.join(storeDir, layers));
  for (const [name, content] of Object.entries(readFiles(path.join(before, layers)))) {
    assert.equal(layersNow[name], content);
  }
  return false;
}

function saveWith(world: World, base: string, storeDir: string): Promise<unknown> {
  return save(makePod(world, path.join(base, "saver")), () => openOrCreateStore(world, storeDir))
    .then(({ status }) => status, (error: unknown) => error);
}

function incomingOf(storeDir: string): string[] {
  return fs.readdirSync(path.join(storeDir, "native", key, "incoming"));
}

test("whichever call fails, on the pod or on the share: the cache is as it was or complete", () =>
  withTemplate(async (place) => {
    const calls = await atEveryCall(async (point) => {
      const storeDir = place.copy();
      const failing = { ...place.world, fs: intercept(place.world.fs, point.once(failWith("EIO"))) };
      const ended = await saveWith(failing, place.base, storeDir);
      if (ended instanceof CacheError) assert.match(ended.code, /^(local|store)_io$/);
      else if (!(ended instanceof Error)) assert.equal(ended, "SUCCESS");
      if (!isCleaningUp(point.reached)) assert.deepEqual(incomingOf(storeDir), []);
      await assertWhole(storeDir, { ...place, ended });
    });
    for (const name of ["append", "sync", "rename", "link", "syncDirectory"]) {
      assert.ok(calls.includes(name), name);
    }
  }));

/** A call without which a temporary file stays: a sweeper finds it by its name. */
function isCleaningUp(call: Call | undefined): boolean {
  return call?.name === "unlink" || call?.name === "close" || call?.name === "chmod" ||
    call?.name === "chown";
}

test("a crash at whatever call leaves the cache as it was or complete, and the next save ends it", () =>
  withTemplate(async (place) => {
    await atEveryCall(async (point) => {
      const storeDir = place.copy();
      const crashing = { ...place.world, fs: intercept(place.world.fs, point.onwards(failWith("EIO"))) };
      const ended = await saveWith(crashing, place.base, storeDir);
      const isComplete = await assertWhole(storeDir, { ...place, ended });
      assert.equal(await saveWith(place.world, place.base, storeDir), isComplete ? "SKIPPED" : "SUCCESS");
      assert.equal(await assertWhole(storeDir, { ...place, ended: "SUCCESS" }), true);
    });
  }));

test("an abort at whatever call leaves the cache as it was, or the save done", async () => {
  let aborted = 0;
  const calls = await atEveryCall((point) =>
    withBench(async ({ world, store, pod }) => {
      await saveTo(store, pod("first", { "a/first": "first" }));
      const controller = new AbortController();
      const reason = new CacheError("interrupted", "interrupted by SIGTERM");
      const abort = point.once(() => controller.abort(reason));
      const saver = pod("saver", { "a/second": "second" }, {
        fs: intercept(world.fs, abort),
        signal: controller.signal,
      });
      const ended = await saveTo(intercept(store, abort), saver).then(
        ({ status }) => status,
        (error) => error,
      );
      if (ended === reason) aborted++;
      else assert.equal(ended, "SUCCESS");
      const contents = await readStore(store);
      const isComplete = ended === "SUCCESS" || "inductor/a/second" in contents;
      assert.deepEqual(contents, stored(isComplete ? both : { "a/first": "first" }));
    })
  );
  // Up to the publishing of the layer at least: once that is under way the commit may follow.
  assert.ok(aborted >= calls.indexOf("publish"));
});

// Few names, so that pods have the same paths, and files where others have directories.
const paths = ["a", "a/b", "a/b/c", "b", "b/x", "c"] as const;

const steps = fc.array(
  fc.record({
    pod: fc.integer({ min: 0, max: 2 }),
    step: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...paths) },
      { weight: 2, arbitrary: fc.constantFrom("save" as const) },
      { weight: 1, arbitrary: fc.constantFrom("load" as const) },
    ),
  }),
  { maxLength: 24 },
);

/** One path's file would have to be the other's directory. */
function clash(a: string, b: string): boolean {
  return a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}

function clashesWithAny(file: string, files: ReadonlyMap<string, string>): boolean {
  return [...files.keys()].some((other) => clash(file, other));
}

/** What `to` lacks and has room for, out of `from`. */
function addMissing(from: ReadonlyMap<string, string>, to: Map<string, string>): void {
  const missing = [...from].filter(([file]) => !to.has(file) && !clashesWithAny(file, to));
  for (const [file, content] of missing) to.set(file, content);
}

test("after any saves and loads by several pods the cache is the union, and of a path the first writer's file", () =>
  fc.assert(
    fc.asyncProperty(steps, (sequence) =>
      withBench(async (bench) => {
        const { store, pod } = bench;
        const expected = new Map<string, string>();
        const local = [0, 1, 2].map(() => new Map<string, string>());
        for (const [at, { pod: number, step }] of sequence.entries()) {
          const mine = local[number] ?? assert.fail();
          const actor = pod(`pod ${number}`);
          if (step === "save") {
            const isNew = [...mine.keys()].some((file) =>
              !expected.has(file) && !clashesWithAny(file, expected)
            );
            addMissing(mine, expected);
            assert.equal((await saveTo(store, actor)).status, isNew ? "SUCCESS" : "SKIPPED");
          } else if (step === "load") {
            addMissing(expected, mine);
            await load(actor, store);
            assert.deepEqual(readFiles(actor.dir), Object.fromEntries(mine));
          } else if (!clashesWithAny(step, mine)) {
            writeFile(path.join(actor.dir, step), `${at}`);
            mine.set(step, `${at}`);
          }
        }
        assert.deepEqual(await loaded(bench), Object.fromEntries(expected));
        assert.deepEqual(await countPaths(store), countsOf([...expected.keys()]));
      })),
    { numRuns: 30 },
  ));

const trees = fc.array(
  fc.array(fc.dictionary(fc.constantFrom(...paths), fc.constant(""), { minKeys: 1, maxKeys: 3 }), {
    minLength: 1,
    maxLength: 4,
  }),
  { minLength: 1, maxLength: 3 },
);

test("after any saves at once, in rounds, the cache has all that has room, and never changes what it has", () =>
  fc.assert(
    fc.asyncProperty(trees, (rounds) =>
      withBench(async (bench) => {
        const { store, pod } = bench;
        let before = new Map<string, string>();
        for (const [round, savers] of rounds.entries()) {
          const pods = savers.map((tree, at) => {
            const own = `${round}.${at}`;
            const files = Object.keys(tree).filter((file) =>
              !Object.keys(tree).some((other) => file !== other && clash(file, other))
            );
            return { own, files, saver: pod(own, Object.fromEntries(files.map((file) => [file, own]))) };
          });
          const outcomes = await Promise.all(pods.map(({ saver }) => saveTo(store, saver)));
          assert.ok(outcomes.every(({ status }) => status === "SUCCESS" || status === "SKIPPED"));
          const after = new Map(Object.entries(await loaded(bench)));
          for (const [file, content] of before) assert.equal(after.get(file), content);
          for (const [file, content] of after) {
            const isOwn = pods.some(({ own, files }) => own === content && files.includes(file));
            assert.ok(before.has(file) || isOwn, file);
          }
          for (const { files } of pods) {
            for (const file of files) assert.ok(after.has(file) || clashesWithAny(file, after), file);
          }
          before = after;
        }
        assert.deepEqual(await countPaths(store), countsOf([...before.keys()]));
      })),
    { numRuns: 15 },
  ));
