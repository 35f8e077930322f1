import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { CacheError } from "../lib/errors.ts";
import { packTree } from "../lib/pack_tree.ts";
import type { Store } from "../lib/store.ts";
import type { FileStat, FileSystem } from "../lib/system.ts";
import { type LocalFile, walkTree } from "../lib/tree.ts";
import {
  atEveryCall,
  type BeforeCall,
  describeTree,
  failWith,
  inDirectoryAtOnce,
  intercept,
  key,
  makePod,
  newWorld,
  oldMtimeNs,
  type Pod,
  type PodOptions,
  readLayer,
  realFiles,
  storeInMemory,
  storeKinds,
  type TestStore,
  withDirectory,
  writeFile,
  writeFiles,
} from "./pods.ts";
import { syncFiles } from "./sync_files.ts";

const noLimit = Number.MAX_SAFE_INTEGER;

interface Bench {
  readonly pod: Pod;
  readonly world: ReturnType<typeof newWorld>;
  readonly shared: TestStore;
  /** What packs into the store: the shared one, unless a test comes in between. */
  readonly store: Store;
  /** Where a file of the pod lies. */
  readonly at: (name: string) => string;
}

/** A pod with these files, and a store in memory. */
function withPod(
  files: Readonly<Record<string, string>>,
  act: (bench: Bench) => Promise<void>,
  options: PodOptions = {},
): Promise<void> {
  return withDirectory(async (base) => {
    const world = newWorld();
    const dir = path.join(base, "pod");
    const pod = makePod(world, dir, options);
    writeFiles(dir, files);
    const shared = storeInMemory(world);
    await act({ pod, world, shared, store: shared.store, at: (name) => path.join(dir, name) });
  });
}

async function walk(pod: Pod): Promise<LocalFile[]> {
  return [...(await walkTree(realFiles, pod.roots)).files.values()];
}

/** Packs `files`. @returns the contents of the published layer by path, or what became of it otherwise. */
async function pack({ pod, shared, store }: Bench, files: readonly LocalFile[]) {
  const packed = await packTree(pod, store, { files, maxBytes: noLimit });
  return packed.kind === "published" ? await readLayer(shared.store, packed.layer) : packed;
}

test("packTree() publishes one layer that holds every file, with its mode and time", () =>
  withPod({ "a/one": "1", "two": "22" }, async (bench) => {
    const { pod, shared } = bench;
    writeFile(bench.at("script"), "#!", { mode: 0o4755, mtimeNs: oldMtimeNs + 7_000_000n });
    const packed = await packTree(pod, shared.store, { files: await walk(pod), maxBytes: noLimit });
    assert.ok(packed.kind === "published");
    assert.equal(packed.layer.files, 3);
    assert.equal(packed.layer.raw_bytes, 5);
    assert.match(packed.layer.name, /^[0-9a-f]{64}-[0-9a-f]{32}\.tar\.zst$/);
    const facts = packed.files.map(({ path, size, mode, mtime }) => [path, size, mode, mtime]);
    assert.deepEqual(facts.toSorted(), [
      ["inductor/a/one", 1, 0o644, String(oldMtimeNs)],
      ["inductor/script", 2, 0o755, String(oldMtimeNs + 7_000_000n)],
      ["inductor/two", 2, 0o644, String(oldMtimeNs)],
    ]);
    const contents = await readLayer(shared.store, packed.layer);
    assert.deepEqual(contents, { "inductor/a/one": "1", "inductor/two": "22", "inductor/script": "#!" });
    assert.deepEqual(pod.notices, []);
  }));

test("files of a kind lie together, and within a kind by path", () =>
  withPod(
    { "b/1.py": "", "a/2.py": "", "a/1.cubin": "", "c.cubin": "", "plain": "", "z/.py": "" },
    async (bench) => {
      const packed = await packTree(bench.pod, bench.shared.store, {
        files: await walk(bench.pod),
        maxBytes: noLimit,
      });
      assert.ok(packed.kind === "published");
      assert.deepEqual(packed.files.map((file) => file.path), [
        "inductor/a/1.cubin",
        "inductor/c.cubin",
        "inductor/plain",
        "inductor/a/2.py",
        "inductor/b/1.py",
        "inductor/z/.py",
      ]);
    },
  ));

test("equal trees make equal layers, in whatever order they were walked", () =>
  withPod({ "a/1.py": "1", "b.py": "22", "c": "333", "d": "333" }, async ({ pod, shared }) => {
    const files = await walk(pod);
    const digests = new Set<string>();
    for (const order of [files, files.toReversed(), [...files.slice(2), ...files.slice(0, 2)]]) {
      const packed = await packTree(pod, shared.store, { files: order, maxBytes: noLimit });
      assert.ok(packed.kind === "published");
      digests.add(packed.layer.name.slice(0, 64));
    }
    assert.equal(digests.size, 1);
  }));

test("the progress ends at the bytes of all files", async () => {
  const told: [number, number][] = [];
  await withPod(
    { a: "x".repeat(3000), b: "y".repeat(5000) },
    async (bench) => {
      await pack(bench, await walk(bench.pod));
    },
    { progress: (done, total) => told.push([done, total]) },
  );
  assert.deepEqual(told.at(-1), [8000, 8000]);
  assert.ok(told.every(([done, total]) => done <= total));
});

test("no files at all are nothing, and nothing is begun", () =>
  withPod({}, async (bench) => {
    assert.deepEqual(await pack(bench, []), { kind: "nothing" });
    assert.deepEqual(await bench.shared.look(), []);
  }));

for (const kind of storeKinds) {
  test(`a layer above the limit is not published, and leaves nothing in the store ${kind.name}`, () =>
    withDirectory(async (base) => {
      const world = newWorld();
      const pod = makePod(world, path.join(base, "pod"));
      writeFiles(pod.dir, { a: "content" });
      const shared = await kind.make(world, base);
      const packed = await packTree(pod, shared.store, { files: await walk(pod), maxBytes: noLimit });
      assert.ok(packed.kind === "published");
      const { bytes } = packed.layer;
      const before = await shared.look();
      const tooLarge = await packTree(pod, shared.store, { files: await walk(pod), maxBytes: bytes - 1 });
      assert.deepEqual(tooLarge, { kind: "too_large", bytes });
      // In memory the look is the record of the calls, of which a layer that is only begun makes some.
      if (kind.name === "in a directory") assert.deepEqual(await shared.look(), before);
      else assert.deepEqual(countOf(await shared.look(), "publish"), 1);
      const fits = await packTree(pod, shared.store, { files: await walk(pod), maxBytes: bytes });
      assert.equal(fits.kind, "published");
    }));
}

function countOf(calls: unknown, name: string): number {
  return Array.isArray(calls) ? calls.filter((call) => call === name).length : 0;
}

test("a file that was written in two halves with the walk between them is stored whole", () =>
  withPod({ a: "first half, ", b: "b" }, async (bench) => {
    const files = await walk(bench.pod);
    fs.appendFileSync(bench.at("a"), "second half");
    assert.deepEqual(await pack(bench, files), {
      "inductor/a": "first half, second half",
      "inductor/b": "b",
    });
    assert.deepEqual(bench.pod.notices, []);
  }));

test("a file whose second half comes while the layer settles is packed anew, whole", () =>
  withPod({ b: "b" }, async (bench) => {
    const { world } = bench;
    // Written 200 ms ago: it may be in the middle of several writes.
    writeFile(bench.at("a"), "first half, ", { mtimeNs: BigInt(world.clock.nowMs() - 200) * 1_000_000n });
    const sleeps: number[] = [];
    let startedMs = world.clock.monotonicMs();
    world.clock.onSleep = () => {
      sleeps.push(world.clock.monotonicMs() - startedMs);
      startedMs = world.clock.monotonicMs();
      if (sleeps.length > 1) return;
      writeFile(bench.at("a"), "first half, second half", {
        mtimeNs: BigInt(world.clock.nowMs() - 100) * 1_000_000n,
      });
    };
    assert.deepEqual(await pack(bench, await walk(bench.pod)), {
      "inductor/a": "first half, second half",
      "inductor/b": "b",
    });
    // Until the newest file is half a second old.
    assert.deepEqual(sleeps, [300, 400]);
    assert.deepEqual(bench.pod.notices, []);
    assert.equal(countOf(await bench.shared.look(), "publish"), 1);
  }));

test("a file that is rewritten in the same tick of a coarse clock is packed anew", () => {
  // Older kernels move a file's times every 4 ms: what is written twice within these looks like one version.
  let tickNs = 0n;
  const coarse = (stat: FileStat): FileStat => ({ ...stat, mtimeNs: tickNs, ctimeNs: tickNs });
  const files: FileSystem = {
    ...realFiles,
    lstat: async (file) => coarse(await realFiles.lstat(file)),
    open: async (file, mode) => {
      const opened = await realFiles.open(file, mode);
      return { ...opened, stat: async () => coarse(await opened.stat()) };
    },
  };
  return withPod({ a: "before" }, async (bench) => {
    tickNs = BigInt(bench.world.clock.nowMs()) * 1_000_000n;
    const walked = await walk(bench.pod);
    bench.world.clock.onSleep = () => fs.writeFileSync(bench.at("a"), "after!");
    assert.deepEqual(await pack(bench, walked), { "inductor/a": "after!" });
  }, { fs: files });
});

test("old files, and files with a time in the future, need not settle", () =>
  withPod({}, async (bench) => {
    const { world, pod } = bench;
    world.clock.onSleep = () => assert.fail("it slept");
    for (const ageMs of [500, 501, 86_400_000, -1, -86_400_000]) {
      writeFile(bench.at("a"), "content", { mtimeNs: BigInt(world.clock.nowMs() - ageMs) * 1_000_000n });
      assert.deepEqual(await pack(bench, await walk(pod)), { "inductor/a": "content" });
    }
  }));

const first = "first version";

/** What may happen to the file "victim" at any moment; each time something else. */
const changes: readonly (readonly [what: string, change: (victim: string, round: number) => void])[] = [
  ["grows", (victim, round) => fs.appendFileSync(victim, ` and more ${round}`)],
  ["is truncated", (victim, round) => fs.truncateSync(victim, 5 - (round % 2))],
  ["gets other bytes of the same size", (victim, round) => {
    fs.writeFileSync(victim, `other ${round}`.padEnd(first.length, "~"));
    // What a test writes twice within a tick of the kernel's clock has one time: in earnest this is what settling is for.
    fs.utimesSync(victim, 1e9, 1e9 + round);
  }],
  ["is replaced by another file", (victim, round) => {
    writeFile(`${victim}.tmp`, `replacement ${round}`);
    fs.renameSync(`${victim}.tmp`, victim);
  }],
  ["vanishes", (victim) => fs.rmSync(victim, { force: true })],
  ["becomes a symlink", (victim) => {
    fs.rmSync(victim, { force: true });
    fs.symlinkSync("../outside", victim);
  }],
  ["becomes a directory", (victim, round) => {
    if (round > 1) return;
    fs.rmSync(victim);
    fs.mkdirSync(victim);
  }],
];

/** The calls at whose time the world changes: all on files, on the store and on the layer that is written. */
function interceptAll(bench: Bench, before: BeforeCall): Bench {
  bench.world.clock.onSleep = () => before({ name: "sleep", args: [] });
  return {
    ...bench,
    pod: { ...bench.pod, system: { ...bench.pod.system, ...systemOf(bench, before) } },
    store: intercept(bench.store, before),
  };
}

function systemOf({ world }: Bench, before: BeforeCall) {
  const files = intercept(syncFiles, before);
  return { fs: files, disk: files, clock: world.clock, random: world.random };
}

/** "a" and "z" hold still; "victim" was written a moment ago, so that the layer has to settle. */
function withVictim(act: (bench: Bench, files: LocalFile[]) => Promise<void>): Promise<void> {
  return withPod({ a: "a", z: "z", outside: "a secret elsewhere" }, async (bench) => {
    fs.renameSync(bench.at("outside"), bench.at("../outside"));
    writeFile(bench.at("victim"), first, { mtimeNs: BigInt(bench.world.clock.nowMs() - 100) * 1_000_000n });
    await act(bench, await walk(bench.pod));
  });
}

for (const [what, change] of changes) {
  test(`a file that ${what} once, at whatever call, is stored whole or not at all`, async () => {
    const calls = await atEveryCall((point) =>
      withVictim(async (bench, files) => {
        const states = [first];
        const changing = interceptAll(
          bench,
          point.once(() => {
            change(bench.at("victim"), 1);
            states.push(...contentOf(bench.at("victim")));
          }),
        );
        const stored = await pack(changing, files);
        const { "inductor/victim": victim, ...others } = stored as Record<string, string>;
        assert.deepEqual(others, { "inductor/a": "a", "inductor/z": "z" });
        assert.ok(victim === undefined ? states.length === 1 : states.includes(victim));
      })
    );
    for (
      const name of ["beginLayer", "open", "stat", "read", "close", "write", "sleep", "lstat", "publish"]
    ) {
      assert.ok(calls.includes(name), name);
    }
  });

  test(`a file that ${what} at every call does not keep the others from being stored`, async () => {
    await withVictim(async (bench, files) => {
      let round = 0;
      const states = [first];
      const changing = interceptAll(bench, () => {
        change(bench.at("victim"), ++round);
        states.push(...contentOf(bench.at("victim")));
      });
      const stored = await pack(changing, files);
      const { "inductor/victim": victim, ...others } = stored as Record<string, string>;
      assert.deepEqual(others, { "inductor/a": "a", "inductor/z": "z" });
      assert.ok(victim === undefined || states.includes(victim));
    });
  });
}

/** What a regular file holds now; nothing where there is none. */
function contentOf(file: string): string[] {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  return stat?.isFile() ? [fs.readFileSync(file, "utf8")] : [];
}

test("a file that changes after each reading is packed three times, then left out with a notice", () =>
  withVictim(async (bench, files) => {
    let round = 0;
    const changing = interceptAll(bench, ({ name }) => {
      if (name !== "sleep") return;
      const momentS = (bench.world.clock.nowMs() - 100) / 1000;
      fs.appendFileSync(bench.at("victim"), String(++round));
      fs.utimesSync(bench.at("victim"), momentS, momentS);
    });
    const stored = await pack(changing, files);
    assert.deepEqual(stored, { "inductor/a": "a", "inductor/z": "z" });
    assert.equal(round, 3);
    const calls = await bench.shared.look();
    assert.equal(countOf(calls, "beginLayer"), 4);
    assert.equal(countOf(calls, "publish"), 1);
    assert.deepEqual(bench.pod.notices, [
      '"inductor/victim" cannot be read, or keeps changing: it is left for the next save',
    ]);
  }));

test("a file that changes twice and then holds still is stored", () =>
  withVictim(async (bench, files) => {
    let round = 0;
    const changing = interceptAll(bench, ({ name, args }) => {
      if (name === "lstat" && args[0] === bench.at("victim") && ++round <= 2) {
        fs.appendFileSync(bench.at("victim"), String(round));
      }
    });
    assert.deepEqual(await pack(changing, files), {
      "inductor/a": "a",
      "inductor/victim": `${first}12`,
      "inductor/z": "z",
    });
    assert.deepEqual(bench.pod.notices, []);
  }));

test("where no file can be read there is nothing, with a notice for each", () =>
  withPod({ a: "a", b: "b" }, async (bench) => {
    const files = await walk(bench.pod);
    fs.rmSync(bench.at("a"));
    const unreadable = interceptAll(bench, ({ name, args }) => {
      if (name === "open" && args[0] === bench.at("b")) failWith("EACCES")();
    });
    assert.deepEqual(await pack(unreadable, files), { kind: "nothing" });
    assert.deepEqual(bench.pod.notices.toSorted(), [
      '"inductor/a" cannot be read, or keeps changing: it is left for the next save',
      '"inductor/b" cannot be read, or keeps changing: it is left for the next save',
    ]);
    assert.equal(countOf(await bench.shared.look(), "publish"), 0);
  }));

test("a file that vanished is left out, and the others are published", () =>
  withPod({ a: "a", b: "b" }, async (bench) => {
    const files = await walk(bench.pod);
    fs.rmSync(bench.at("a"));
    assert.deepEqual(await pack(bench, files), { "inductor/b": "b" });
    assert.deepEqual(bench.pod.notices, [
      '"inductor/a" cannot be read, or keeps changing: it is left for the next save',
    ]);
  }));

test("a disk that fails under a file is local_io, and nothing is published", () =>
  withPod({ a: "a", b: "b" }, async (bench) => {
    const files = await walk(bench.pod);
    const failing = interceptAll(bench, ({ name, args }) => {
      if (name === "open" && args[0] === bench.at("b")) failWith("EIO")();
    });
    await assert.rejects(pack(failing, files), {
      name: "CacheError",
      code: "local_io",
      message: `Cannot read "${bench.at("b")}" on this pod: EIO`,
    });
    assert.equal(countOf(await bench.shared.look(), "publish"), 0);
  }));

test("whichever call on the store fails, the failure is passed on and nothing more is published", async () => {
  const calls = await atEveryCall((point) =>
    withPod({ a: "a" }, async (bench) => {
      const broken = new CacheError("store_io", "the share failed");
      const store = intercept(
        bench.store,
        point.once(({ name }) => {
          // A layer that cannot be cleaned up: the store itself sees to that.
          if (name !== "dispose") throw broken;
        }),
      );
      const files = await walk(bench.pod);
      const ended = await packTree(bench.pod, store, { files, maxBytes: noLimit })
        .then(() => undefined, (error: unknown) => error);
      assert.equal(ended, point.reached && point.reached.name !== "dispose" ? broken : undefined);
      assert.equal(countOf(await bench.shared.look(), "publish"), ended ? 0 : 1);
    })
  );
  assert.deepEqual([...new Set(calls)], ["beginLayer", "write", "publish", "dispose"]);
});

test("an abort at whatever call ends it with the signal's reason, unless the layer is published by then", async () => {
  await withDirectory(async (base) => {
    const world = newWorld(inDirectoryAtOnce.files);
    const shared = await inDirectoryAtOnce.make(world, base);
    const dir = path.join(base, "pod");
    writeFiles(dir, { a: "a", b: "b" });
    // The directories of the key are made by the first save: what is compared is what lies in them.
    await using _made = await shared.store.beginLayer(key);
    const before = await shared.look();
    let abortedCalls = 0;
    const calls = await atEveryCall(async (point) => {
      const controller = new AbortController();
      const reason = new CacheError("interrupted", "interrupted by SIGTERM");
      const abort = point.once(() => controller.abort(reason));
      const pod = makePod(world, dir, { signal: controller.signal, fs: intercept(world.fs, abort) });
      const files = await walk(pod);
      const ended = await packTree(pod, intercept(shared.store, abort), { files, maxBytes: noLimit })
        .then((packed) => packed.kind, (error: unknown) => error);
      if (ended === reason) {
        abortedCalls++;
        assert.deepEqual(await shared.look(), before);
      } else {
        assert.equal(ended, "published");
        fs.rmSync(path.join(base, "store/native", key, "layers"), { recursive: true });
        fs.mkdirSync(path.join(base, "store/native", key, "layers"));
      }
    });
    // Up to the last look at the files, before it is published.
    assert.ok(abortedCalls > calls.lastIndexOf("lstat"));
    assert.equal(Object.keys(describeTree(dir)).length, 2);
  });
});
