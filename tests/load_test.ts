import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { CacheError } from "../lib/errors.ts";
import { readGeneration } from "../lib/history.ts";
import { load } from "../lib/load.ts";
import { contentId, encodeGeneration, type Manifest } from "../lib/manifest.ts";
import type { LoadOutcome } from "../lib/operation.ts";
import { packTree } from "../lib/pack_tree.ts";
import { stagingPrefix } from "../lib/roots.ts";
import { save } from "../lib/save.ts";
import type { LayerFile, Store } from "../lib/store.ts";
import { openStore } from "../lib/store/directory.ts";
import { walkTree } from "../lib/tree.ts";
import { Damage, damages, flipped } from "./damage.ts";
import {
  atEveryCall,
  describeTree,
  failWith,
  inDirectoryAtOnce,
  inMemory,
  intercept,
  key,
  makePod,
  newWorld,
  oldMtimeNs,
  type Pod,
  type PodOptions,
  readFiles,
  realFiles,
  rootName,
  runtime,
  type StoreKind,
  storeKinds,
  type TestStore,
  withDirectory,
  type World,
  writeFile,
  writeFiles,
} from "./pods.ts";

type Files = Readonly<Record<string, string>>;

interface Bench {
  readonly world: World;
  readonly base: string;
  readonly shared: TestStore;
  readonly store: Store;
  /** A pod whose root lies at `name`. */
  readonly pod: (name: string, options?: PodOptions) => Pod;
  /** Saves `files` from a pod of their own. */
  readonly saved: (name: string, files: Files) => Promise<void>;
}

function withBench(act: (bench: Bench) => Promise<void>, kind: StoreKind = inMemory): Promise<void> {
  return withDirectory(async (base) => {
    const world = newWorld(kind.files);
    const shared = await kind.make(world, base);
    const { store } = shared;
    const pod = (name: string, options?: PodOptions) => makePod(world, path.join(base, name), options);
    await act({
      world,
      base,
      shared,
      store,
      pod,
      saved: async (name, files) => {
        const saver = pod(name);
        writeFiles(saver.dir, files);
        const outcome = await save(saver, () => Promise.resolve(store));
        assert.equal(outcome.status, "SUCCESS");
      },
    });
  });
}

const cache: Files = { "a/x": "file x", "a/b/y": "file y", "c/z": "file z", "single": "" };

for (const kind of storeKinds) {
  test(`a load from a store ${kind.name} into an empty directory restores everything`, () =>
    withBench(async ({ saved, store, pod }) => {
      await saved("saver", cache);
      const { dir, notices, ...operation } = pod("target");
      const outcome = await load(operation, store);
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.generation, 1);
      assert.equal(outcome.totals.files, 4);
      assert.equal(outcome.totals.bytes, 18);
      assert.ok(outcome.totals.storedBytes > 100);
      assert.deepEqual(readFiles(dir), cache);
      assert.deepEqual(notices, []);
    }, kind));

  test(`a load from a store ${kind.name} into a directory with files adds only what is missing`, () =>
    withBench(async ({ saved, store, pod }) => {
      await saved("saver", cache);
      const target = pod("target");
      writeFiles(target.dir, { "a/x": "mine", "c/mine": "mine", "other/mine": "mine" });
      const before = describeTree(target.dir);
      const outcome = await load(target, store);
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.totals.files, 3);
      assert.equal(outcome.totals.bytes, 12);
      const after = describeTree(target.dir);
      for (const [file, description] of Object.entries(before)) assert.equal(after[file], description, file);
      assert.deepEqual(readFiles(target.dir), {
        ...cache,
        "a/x": "mine",
        "c/mine": "mine",
        "other/mine": "mine",
      });
    }, kind));

  test(`a second load from a store ${kind.name} is SKIPPED, and nothing is touched anywhere`, () =>
    withBench(async ({ saved, store, shared, pod }) => {
      await saved("saver", cache);
      const target = pod("target");
      await load(target, store);
      const before = [describeTree(target.dir), await shared.look()];
      const outcome = await load(target, store);
      assert.deepEqual(outcome, {
        status: "SKIPPED",
        generation: 1,
        about: { content: contentId(await manifestOf(store, 1)), coldStartS: null },
        reason: "everything in the cache is already on this pod",
      });
      assert.deepEqual([describeTree(target.dir), await shared.look()], before);
    }, kind));

  test(`SKIPPED is said only after every path was compared, with a store ${kind.name}`, () =>
    withBench(async ({ saved, store, pod }) => {
      await saved("saver", cache);
      const target = pod("target");
      await load(target, store);
      for (const file of Object.keys(cache)) {
        fs.rmSync(path.join(target.dir, file));
        const outcome = await load(target, store);
        assert.ok(outcome.status === "SUCCESS", file);
        assert.equal(outcome.totals.files, 1);
        assert.deepEqual(readFiles(target.dir), cache);
      }
    }, kind));

  test(`without a cache in a store ${kind.name} a load is DOES_NOT_EXIST, and changes nothing`, () =>
    withBench(async ({ store, shared, pod }) => {
      const target = pod("target");
      writeFiles(target.dir, { mine: "mine" });
      const before = [describeTree(target.dir), await shared.look()];
      assert.deepEqual(await load(target, store), {
        status: "DOES_NOT_EXIST",
        reason: "no cache was saved for this environment",
      });
      assert.deepEqual([describeTree(target.dir), await shared.look()], before);
    }, kind));

  test(`files come back from a store ${kind.name} with their content, mode and time`, () =>
    withBench(async ({ store, pod }) => {
      const saver = pod("saver");
      const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => (at * at) >> 5);
      const mtimeNs = oldMtimeNs + (123_456_789n / runtime.mtimeResolutionNs) * runtime.mtimeResolutionNs;
      writeFile(`${saver.dir}/a/binary`, bytes, { mode: 0o755, mtimeNs });
      writeFile(`${saver.dir}/a/equal`, bytes, { mode: 0o600, mtimeNs: 1_000_000_000n });
      writeFile(`${saver.dir}/read_only`, "r", { mode: 0o444, mtimeNs: 4_102_444_800_250_000_000n });
      writeFile(`${saver.dir}/before_1970`, "b", { mode: 0o640, mtimeNs: -1_500_000_000n });
      await save(saver, () => Promise.resolve(store));
      const target = pod("target");
      await load(target, store);
      assert.deepEqual(withoutInodes(target.dir), withoutInodes(saver.dir));
      const { mtimeNs: restored } = await realFiles.lstat(`${target.dir}/a/binary`);
      assert.equal(restored, mtimeNs);
    }, kind));

  test(`setuid, setgid and sticky bits do not come back from a store ${kind.name}`, () =>
    withBench(async ({ store, pod }) => {
      const saver = pod("saver");
      writeFile(`${saver.dir}/file`, "", { mode: 0o7755 });
      await save(saver, () => Promise.resolve(store));
      const target = pod("target");
      await load(target, store);
      assert.equal((await realFiles.lstat(`${target.dir}/file`)).mode, 0o755);
    }, kind));

  test(`several pods load from a store ${kind.name} into one directory at once`, () =>
    withBench(async ({ saved, store, pod }) => {
      await saved("saver", cache);
      await saved("another", { "a/more": "more" });
      const outcomes = await Promise.all(Array.from({ length: 4 }, () => load(pod("target"), store)));
      assert.ok(outcomes.every(({ status }) => status === "SUCCESS" || status === "SKIPPED"));
      assert.ok(outcomes.some(({ status }) => status === "SUCCESS"));
      assert.deepEqual(readFiles(pod("target").dir), { ...cache, "a/more": "more" });
    }, kind));
}

function withoutInodes(dir: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(describeTree(dir)).map((
      [file, description],
    ) => [file, description.replace(/inode \d+/, "")]),
  );
}

test("any tree comes back as it was saved", () =>
  fc.assert(
    fc.asyncProperty(
      fc.dictionary(
        fc.array(fc.constantFrom("a", "b", "ü", "with space", "~$'\"", "😀"), { minLength: 1, maxLength: 4 })
          .map((names) => `${names.join("/")}.file`),
        fc.record({
          content: fc.uint8Array({ maxLength: 2000 }),
          mode: fc.constantFrom(0o644, 0o600, 0o755, 0o444),
          mtimeMs: fc.integer({ min: -1e12, max: 4e12 }),
        }),
        { minKeys: 1, maxKeys: 6 },
      ),
      (files) =>
        withBench(async ({ store, pod }) => {
          const saver = pod("saver");
          for (const [file, { content, mode, mtimeMs }] of Object.entries(files)) {
            writeFile(path.join(saver.dir, file), content, { mode, mtimeNs: BigInt(mtimeMs) * 1_000_000n });
          }
          await save(saver, () => Promise.resolve(store));
          const target = pod("target");
          await load(target, store);
          assert.deepEqual(withoutInodes(target.dir), withoutInodes(saver.dir));
        }),
    ),
    { numRuns: 15 },
  ));

test("without a store a load is DOES_NOT_EXIST", () =>
  withBench(async ({ pod }) => {
    assert.deepEqual(await load(pod("target"), undefined), {
      status: "DOES_NOT_EXIST",
      reason: "nothing has been saved in this store yet",
    });
  }));

test("a pod that is read-only loads", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", cache);
    const target = pod("target", { config: { readOnly: true } });
    assert.equal((await load(target, store)).status, "SUCCESS");
  }));

const writingCalls = new Set(["mkdir", "link", "rename", "unlink", "rmdir", "chmod", "chown"]);

test("a load needs no right to write to the share", () =>
  withBench(async ({ saved, world, base, pod }) => {
    await saved("saver", cache);
    const storeDir = path.join(base, "store");
    const before = describeTree(storeDir);
    const readOnly = intercept(world.fs, ({ name, args }) => {
      if (writingCalls.has(name) || (name === "open" && args[1] !== "r")) failWith("EROFS")();
    });
    const store = await openStore({ ...world, fs: readOnly }, storeDir) ?? assert.fail();
    assert.equal((await load(pod("target"), store)).status, "SUCCESS");
    assert.deepEqual(describeTree(storeDir), before);
  }, inDirectoryAtOnce));

test("a load leaves one trace in the store: that it was used", () =>
  withBench(async ({ saved, store, world, base, pod }) => {
    await saved("saver", cache);
    const storeDir = path.join(base, "store");
    const before = describeTree(storeDir);
    assert.equal(await store.lastUseMs(key), undefined);
    await load(pod("target"), store);
    assert.notEqual(await store.lastUseMs(key), undefined);
    const { [`native/${key}/used`]: used, ...after } = describeTree(storeDir);
    assert.ok(used);
    assert.deepEqual(after, before);
    assert.equal(world.clock.monotonicMs(), 0);
  }, inDirectoryAtOnce));

test("the progress ends at the bytes of the files that were missing", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", cache);
    const told: [number, number][] = [];
    const target = pod("target", { progress: (done, total) => told.push([done, total]) });
    writeFiles(target.dir, { "a/x": "mine" });
    await load(target, store);
    assert.deepEqual(told.at(-1), [12, 12]);
    assert.ok(told.every(([done, total]) => done <= total));
  }));

test("a file whose directory is something else on this pod is left out with a notice", () =>
  withBench(async ({ saved, store, pod, base }) => {
    await saved("saver", { "a/b/x": "x", "c/y": "y", "d/z": "z", "free": "f" });
    writeFiles(path.join(base, "outside"), { canary: "alive" });
    const target = pod("target");
    writeFiles(target.dir, { "a": "a file" });
    fs.symlinkSync("../outside", path.join(target.dir, "c"));
    const outcome = await load(target, store);
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.totals.files, 2);
    assert.deepEqual(readFiles(target.dir), { "a": "a file", "c": "-> ../outside", "d/z": "z", "free": "f" });
    assert.deepEqual(readFiles(path.join(base, "outside")), { canary: "alive" });
    assert.deepEqual(target.notices.toSorted(), [
      `"${target.dir}/a/b/x" is left out: its directory is something else here`,
      `"${target.dir}/c/y" is left out: its directory is something else here`,
    ]);
    // What cannot be placed is not missing for ever.
    assert.equal((await load(target, store)).status, "SKIPPED");
  }));

test("whatever lies in a file's place wins: another file, a directory, a symlink to nowhere", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", { "1": "one", "2": "two", "3": "three" });
    const target = pod("target");
    writeFiles(target.dir, { "1": "", "2/inner": "" });
    fs.symlinkSync("/nowhere/at/all", path.join(target.dir, "3"));
    const before = describeTree(target.dir);
    assert.equal((await load(target, store)).status, "SKIPPED");
    assert.deepEqual(describeTree(target.dir), before);
  }));

test("a directory that turns into a symlink before the files are placed is not written through", async () => {
  await atEveryCall((point) =>
    withBench(async ({ saved, world, store, pod, base }) => {
      await saved("saver", { "a/x": "x", "b/y": "y" });
      writeFiles(path.join(base, "outside"), { canary: "alive" });
      const replaced = path.join(base, "target/a");
      let isPlaced = false;
      const replace = point.once(() => {
        if (isPlaced) return;
        fs.rmSync(replaced, { recursive: true, force: true });
        fs.symlinkSync("../outside", replaced);
      });
      const files = intercept(world.fs, (call) => {
        replace(call);
        isPlaced ||= call.name === "rename" && call.args[1] === replaced;
      });
      const target = pod("target", { fs: files });
      writeFiles(target.dir, { "a/mine": "" });
      await load(target, store).then(() => {}, () => {});
      assert.deepEqual(readFiles(path.join(base, "outside")), { canary: "alive" });
    })
  );
});

test("only the roots that the operation is about are restored", () =>
  withBench(async ({ store, pod, base }) => {
    const saver = pod("saver");
    const other = path.join(base, "other");
    writeFiles(saver.dir, { x: "x" });
    writeFiles(other, { y: "y" });
    const roots = [...saver.roots, { name: "vllm", dir: other }];
    await save({ ...saver, roots }, () => Promise.resolve(store));
    const target = pod("target");
    await load(target, store);
    assert.deepEqual(readFiles(target.dir), { x: "x" });
    const neither = { ...target, roots: [{ name: "triton", dir: target.dir }] };
    assert.deepEqual(await load(neither, store), {
      status: "DOES_NOT_EXIST",
      reason: "the cache holds nothing for these directories",
    });
    const elsewhere = path.join(base, "elsewhere");
    fs.mkdirSync(elsewhere);
    const both = [{ name: rootName, dir: target.dir }, { name: "vllm", dir: elsewhere }];
    assert.equal((await load({ ...target, roots: both }, store)).status, "SUCCESS");
    assert.deepEqual(readFiles(elsewhere), { y: "y" });
  }));

/** The newest manifest, as it is and with something else in it. */
async function manifestOf(store: Store, n: number): Promise<Manifest> {
  const read = await readGeneration(store, key, n);
  return read.kind === "valid" ? read.generation.manifest : assert.fail(read.kind);
}

function put(store: Store, manifest: Manifest): Promise<"put" | "taken"> {
  return store.putGeneration(key, manifest.n, encodeGeneration(manifest).bytes);
}

test("a path in two layers: the later one's file is restored, alone", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", { a: "old a", b: "old b" });
    const replacing = pod("replacing");
    writeFiles(replacing.dir, { b: "new b", c: "new c" });
    const { files } = await walkTree(realFiles, replacing.roots);
    const packed = await packTree(replacing, store, { files: [...files.values()], maxBytes: 1e9 });
    assert.ok(packed.kind === "published");
    const manifest = await manifestOf(store, 1);
    await put(store, { ...manifest, n: 2, layers: [...manifest.layers, packed.layer] });
    const target = pod("target");
    const outcome = await load(target, store);
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.totals.files, 3);
    assert.deepEqual(readFiles(target.dir), { a: "old a", b: "new b", c: "new c" });
  }));

test("an evicted cache, a generation without layers, is DOES_NOT_EXIST: no older one is restored", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", cache);
    await put(store, { ...await manifestOf(store, 1), n: 2, layers: [] });
    const target = pod("target");
    assert.deepEqual(await load(target, store), {
      status: "DOES_NOT_EXIST",
      reason: "the cache of this environment was evicted",
    });
    assert.deepEqual(readFiles(target.dir), {});
  }));

/** A failed load: its code, and everything on the pod as it was. */
async function assertRefused(
  target: Pod,
  store: Store,
  codes: readonly string[],
  before = describeTree(target.dir),
): Promise<void> {
  await assert.rejects(load(target, store), (error) => {
    assert.ok(error instanceof CacheError, String(error));
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
    return true;
  });
  assert.deepEqual(describeTree(target.dir), before);
}

const small: Files = { "a/x": "file x", "b/y": "file y" };

test("a layer with any byte wrong, or cut at any length, is refused with the target as it was", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", small);
    const target = pod("target");
    writeFiles(target.dir, { "a/mine": "mine" });
    const before = describeTree(target.dir);
    const damage = new Damage();
    const damaged = damage.on(store);
    const { layers: [layer] } = await manifestOf(store, 1);
    for (const way of damages(layer?.bytes ?? assert.fail())) {
      damage.layer = way;
      await assertRefused(target, damaged, ["bad_layer", "bad_index"], before);
    }
    damage.layer = (bytes) => bytes;
    assert.equal((await load(target, damaged)).status, "SUCCESS");
  }));

test("a generation with any byte wrong, or cut at any length, is refused with the target as it was", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", small);
    const target = pod("target");
    writeFiles(target.dir, { "a/mine": "mine" });
    const before = describeTree(target.dir);
    const damage = new Damage();
    const damaged = damage.on(store);
    const { length } = await store.readGeneration(key, 1) ?? assert.fail();
    for (const way of damages(length)) {
      damage.generation = way;
      await assertRefused(target, damaged, ["bad_manifest"], before);
    }
    damage.generation = (bytes) => bytes;
    assert.equal((await load(target, damaged)).status, "SUCCESS");
  }));

test("damage in a store's files is refused as well", () =>
  withBench(async ({ saved, store, pod, base }) => {
    await saved("saver", small);
    const target = pod("target");
    const keyDir = path.join(base, "store/native", key);
    const { layers: [layer] } = await manifestOf(store, 1);
    const files = [
      [path.join(keyDir, "layers", layer?.name ?? assert.fail()), ["bad_layer", "bad_index"]],
      [path.join(keyDir, "generations/0000000001.json"), ["bad_manifest"]],
    ] as const;
    for (const [file, codes] of files) {
      const whole = fs.readFileSync(file);
      for (let at = 0; at < whole.length; at += 17) {
        for (const bytes of [flipped(whole, at), whole.subarray(0, at)]) {
          fs.writeFileSync(file, bytes);
          await assertRefused(target, store, codes);
        }
      }
      fs.writeFileSync(file, whole);
    }
    assert.equal((await load(target, store)).status, "SUCCESS");
  }, inDirectoryAtOnce));

test("a newest layer with a byte wrong: the generation before is loaded, with a notice", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", small);
    await saved("another", { "a/z": "z" });
    const target = pod("target");
    writeFiles(target.dir, small);
    const before = describeTree(target.dir);
    const damage = new Damage();
    const damaged = damage.on(store);
    const { layers: [, newest] } = await manifestOf(store, 2);
    for (const way of damages(newest?.bytes ?? assert.fail(), 11)) {
      damage.layer = (bytes, name) => name === newest?.name ? way(bytes) : bytes;
      const outcome = await load(target, damaged);
      assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SKIPPED", 1]);
      assert.match(target.notices.at(-1) ?? "", /^generation 2 cannot be loaded: Cannot /);
      assert.deepEqual(describeTree(target.dir), before);
    }
  }));

test("a newest generation with a byte wrong: the one before is loaded, with a notice", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", small);
    await saved("another", { "a/z": "z" });
    const target = pod("target");
    writeFiles(target.dir, small);
    const damage = new Damage();
    const damaged = damage.on(store);
    const { length } = await store.readGeneration(key, 2) ?? assert.fail();
    for (const way of damages(length, 11)) {
      damage.generation = (bytes, n) => n === 2 ? way(bytes) : bytes;
      const outcome = await load(target, damaged);
      assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SKIPPED", 1]);
      assert.match(target.notices.at(-1) ?? "", /^generation 2 is not valid: /);
    }
  }));

for (const kind of storeKinds) {
  test(`a layer that is missing from a store ${kind.name}: the generation before, or bad_layer`, () =>
    withBench(async ({ saved, store, pod }) => {
      await saved("saver", small);
      await saved("another", { "a/z": "z" });
      const { layers: [first, second] } = await manifestOf(store, 2);
      const without = (missing: string | undefined): Store => ({
        ...store,
        openLayer: (key, name) => name === missing ? Promise.resolve(undefined) : store.openLayer(key, name),
      });
      const target = pod("target");
      await assertRefused(target, without(first?.name), ["bad_layer"]);
      const outcome = await load(target, without(second?.name));
      assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SUCCESS", 1]);
      assert.deepEqual(readFiles(target.dir), small);
    }, kind));
}

test("where no generation can be loaded the newest one's problem is the error", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", small);
    await saved("another", { "a/z": "z" });
    const manifest = await manifestOf(store, 2);
    const [first, second] = manifest.layers;
    await put(store, { ...manifest, n: 3, layers: manifest.layers.slice(1) });
    const none: Store = { ...store, openLayer: () => Promise.resolve(undefined) };
    const target = pod("target");
    const problem = (name = "") => `Cannot use this cache as its layer ${name} is not in the store`;
    await assert.rejects(load(target, none), { code: "bad_layer", message: problem(second?.name) });
    assert.deepEqual(target.notices, [
      `generation 3 cannot be loaded: ${problem(second?.name)}`,
      `generation 2 cannot be loaded: ${problem(first?.name)}`,
      `generation 1 cannot be loaded: ${problem(first?.name)}`,
    ]);
  }));

test("bytes that are wrong once and right the second time are no damage", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", small);
    const seen = new Set<string>();
    /** Whether this was never asked for before. */
    const isNew = (what: string) => seen.size < seen.add(what).size;
    const stale: Store = {
      ...store,
      readGeneration: async (key, n) => {
        const bytes = await store.readGeneration(key, n);
        return bytes && isNew(`generation ${n}`) ? flipped(bytes, 5) : bytes;
      },
      openLayer: async (key, name) => {
        const file = await store.openLayer(key, name);
        return file && {
          ...file,
          read: async (offset, length) => {
            const bytes = await file.read(offset, length);
            return isNew(`${name} ${offset}`) ? flipped(bytes, 5) : bytes;
          },
        };
      },
    };
    const target = pod("target");
    assert.equal((await load(target, stale)).status, "SUCCESS");
    assert.deepEqual(readFiles(target.dir), small);
    assert.deepEqual(target.notices, []);
  }));

test("a newer format is an error of its own: no older generation is restored instead", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", small);
    const newer = { ...await manifestOf(store, 1), n: 2, format: 2 };
    await put(store, newer as unknown as Manifest);
    await assertRefused(pod("target"), store, ["store_unsupported"]);
  }));

/** What a load can do without: a mark that cannot be read accuses nobody. */
const hints: readonly string[] = ["dispose", "noteUse", "marks"];

test("a share that fails is store_io, and never an absent or an older cache", async () => {
  const calls = await atEveryCall((point) =>
    withBench(async ({ saved, store, pod }) => {
      await saved("saver", small);
      await saved("another", { "a/z": "z" });
      const failing = intercept(
        store,
        point.once(({ name }) => {
          if (!hints.includes(name)) throw new CacheError("store_io", "the share failed");
        }),
      );
      const target = pod("target");
      const name = await load(target, failing).then(() => "SUCCESS", (error) => error.code);
      const isVital = point.reached && !hints.includes(point.reached.name);
      assert.equal(name, isVital ? "store_io" : "SUCCESS");
      if (isVital) assert.deepEqual(describeTree(target.dir), {});
    })
  );
  for (const name of ["generationNumbers", "readGeneration", "openLayer", "read", "marks"]) {
    assert.ok(calls.includes(name), name);
  }
});

test("an abort at whatever call leaves the target as it was, or the load done", async () => {
  let aborted = 0;
  const calls = await atEveryCall((point) =>
    withBench(async ({ saved, world, store, pod }) => {
      await saved("saver", small);
      const controller = new AbortController();
      const reason = new CacheError("interrupted", "interrupted by SIGTERM");
      const abort = point.once(() => controller.abort(reason));
      let stagedAfterwards = 0;
      const files = intercept(world.fs, (call) => {
        if (controller.signal.aborted && call.name === "createFileSync") stagedAfterwards++;
        abort(call);
      });
      const target = pod("target", { fs: files, signal: controller.signal });
      writeFiles(target.dir, { "a/mine": "mine" });
      const before = describeTree(target.dir);
      const ended = await load(target, intercept(store, abort)).then(
        ({ status }) => status,
        (error) => error,
      );
      if (ended === reason) {
        aborted++;
        // The file that was being written is.
        assert.ok(stagedAfterwards <= 1);
        assert.deepEqual(describeTree(target.dir), before);
      } else {
        assert.equal(ended, "SUCCESS");
        assert.deepEqual(readFiles(target.dir), { ...small, "a/mine": "mine" });
      }
    })
  );
  assert.ok(calls.includes("createFileSync") && calls.includes("link"));
  // Up to the last file that is staged.
  assert.ok(aborted > calls.lastIndexOf("createFileSync"));
});

test("whichever call fails, on the pod or on the share: only whole files are added", () =>
  withBench(async ({ saved, world, base, pod }) => {
    await saved("saver", small);
    let at = 0;
    await atEveryCall(async (point) => {
      const files = intercept(world.fs, point.once(failWith("EIO")));
      const target = pod(`target ${++at}`, { fs: files });
      writeFiles(target.dir, { "a/mine": "mine" });
      const before = describeTree(target.dir);
      const ended = await loadFrom(path.join(base, "store"), { ...world, fs: files }, target)
        .then(({ status }) => status, (error: unknown) => error);
      if (ended instanceof CacheError) assert.match(ended.code, /^(local|store)_io$/);
      else assert.equal(ended, "SUCCESS");
      assertWholeFilesAdded(target.dir, before, point.reached?.args[0]);
      if (ended === "SUCCESS") {
        assert.deepEqual(readFilesBesidesStagings(target.dir), { ...small, "a/mine": "mine" });
      }
    });
  }, inDirectoryAtOnce));

test("a crash at whatever call leaves whole files, and the next load ends it", () =>
  withBench(async ({ saved, world, base, pod }) => {
    await saved("saver", small);
    let at = 0;
    await atEveryCall(async (point) => {
      const files = intercept(world.fs, point.onwards(failWith("EIO")));
      const target = pod(`target ${++at}`, { fs: files });
      writeFiles(target.dir, { "a/mine": "mine" });
      const before = describeTree(target.dir);
      await loadFrom(path.join(base, "store"), { ...world, fs: files }, target).then(() => {}, () => {});
      assertWholeFilesAdded(target.dir, before, `${target.dir}/${stagingPrefix}`);
      const next = await load(pod(`target ${at}`), await openStore(world, path.join(base, "store")));
      assert.ok(next.status === "SUCCESS" || next.status === "SKIPPED");
      assert.deepEqual(readFilesBesidesStagings(target.dir), { ...small, "a/mine": "mine" });
    });
  }, inDirectoryAtOnce));

async function loadFrom(storeDir: string, world: World, target: Pod): Promise<LoadOutcome> {
  return await load(target, await openStore(world, storeDir));
}

/** `failed` is the path of the call that failed: only if it was about the staging may some of that be left. */
function assertWholeFilesAdded(dir: string, before: Record<string, string>, failed: unknown): void {
  const after = describeTree(dir);
  for (const [file, description] of Object.entries(before)) assert.equal(after[file], description, file);
  for (const [file, content] of Object.entries(readFilesBesidesStagings(dir))) {
    if (!(file in before)) assert.equal(content, small[file], file);
  }
  const mayBeLeft = typeof failed === "string" && failed.includes(`/${stagingPrefix}`);
  if (!mayBeLeft) assert.deepEqual(fs.readdirSync(dir).filter((name) => name.startsWith(stagingPrefix)), []);
}

function readFilesBesidesStagings(dir: string): Record<string, string> {
  const files = Object.entries(readFiles(dir));
  return Object.fromEntries(files.filter(([file]) => !file.startsWith(stagingPrefix)));
}

const bytesPerMb = 1024 * 1024;

/** How much must be free on the pod: with a byte less nothing at all is written. */
const spaceRules: readonly (readonly [PodOptions["config"], (storedBytes: number) => number])[] = [
  [{}, () => 18],
  [{ minLocalSpaceMb: 0 }, () => 18],
  [{ minLocalSpaceMb: 3 }, () => 3 * bytesPerMb],
  [{ localSpaceMultiplier: 4 }, (storedBytes) => 4 * storedBytes],
  [{ localSpaceMultiplier: 0.001 }, () => 18],
  [{ localSpaceMultiplier: 4, minLocalSpaceMb: 1 }, () => bytesPerMb],
];

test("a pod with too little free space is no_space before anything is written", async () => {
  for (const [config = {}, needed] of spaceRules) {
    await withBench(async ({ saved, world, store, pod }) => {
      await saved("saver", cache);
      const { layers } = await manifestOf(store, 1);
      const neededBytes = needed(layers[0]?.bytes ?? 0);
      const writes: string[] = [];
      const filesWith = (freeBytes: number) => ({
        ...intercept(world.fs, ({ name }) => {
          if (writingCalls.has(name) || name.endsWith("Sync")) writes.push(name);
        }),
        freeBytes: () => Promise.resolve(freeBytes),
      });
      const tooSmall = pod("target", { config, fs: filesWith(neededBytes - 1) });
      await assertRefused(tooSmall, store, ["no_space"]);
      assert.deepEqual(writes, []);
      const largeEnough = pod("target", { config, fs: filesWith(neededBytes) });
      assert.equal((await load(largeEnough, store)).status, "SUCCESS");
    });
  }
});

test("a pod without space for more is SKIPPED where nothing is missing", () =>
  withBench(async ({ saved, world, store, pod }) => {
    await saved("saver", cache);
    await load(pod("target"), store);
    const full = { ...world.fs, freeBytes: () => Promise.resolve(0) };
    assert.equal((await load(pod("target", { fs: full }), store)).status, "SKIPPED");
  }));

/** As the store, telling what lay in `watched()` at each read of a frame. */
function watchingFrames(store: Store, watched: () => string): { store: Store; seen: string[][] } {
  const seen: string[][] = [];
  const openLayer: Store["openLayer"] = async (key, name) => {
    const file = await store.openLayer(key, name);
    const read: LayerFile["read"] | undefined = file && ((offset, length) => {
      // One frame, at the layer's beginning.
      if (offset === 0) seen.push(fs.readdirSync(watched()));
      return file.read(offset, length);
    });
    return file && read && { ...file, read };
  };
  return { store: { ...store, openLayer }, seen };
}

test("frames are read ahead of the plan where the pod has nothing, each once; and else only for what is missing", () =>
  withBench(async ({ saved, store, pod }) => {
    await saved("saver", cache);
    let dir = "";
    const watching = watchingFrames(store, () => dir);
    const statusOf = async (target: Pod) => {
      ({ dir } = target);
      watching.seen.length = 0;
      return (await load(target, watching.store)).status;
    };
    const fresh = pod("fresh");
    assert.equal(await statusOf(fresh), "SUCCESS");
    assert.deepEqual(watching.seen, [[]], "before there is a staging");
    assert.equal(await statusOf(fresh), "SKIPPED");
    assert.equal(watching.seen.length, 0);
    const other = pod("other");
    writeFiles(other.dir, { "mine": "mine" });
    assert.equal(await statusOf(other), "SUCCESS");
    assert.deepEqual(watching.seen.map((names) => names.length), [2], "mine, and the staging");
    const elsewhere = pod("elsewhere");
    const roots = elsewhere.roots.map((root) => ({ ...root, name: "another" }));
    assert.equal(await statusOf({ ...elsewhere, roots }), "DOES_NOT_EXIST");
    assert.equal(watching.seen.length, 0);
  }));
