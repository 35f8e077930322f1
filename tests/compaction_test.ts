import assert from "node:assert/strict";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { type SourceFile, unpackLayer } from "../lib/archive.ts";
import { putNext, storedBytes } from "../lib/commit.ts";
import { compact, longestRun, withRunReplaced } from "../lib/compaction.ts";
import { CacheError } from "../lib/errors.ts";
import { findHead, type Head } from "../lib/history.ts";
import { load } from "../lib/load.ts";
import { openLayers } from "../lib/layers.ts";
import type { Generation, Layer } from "../lib/manifest.ts";
import { save } from "../lib/save.ts";
import type { Store } from "../lib/store.ts";
import { formatBytes } from "../lib/text.ts";
import {
  assemble,
  indexedFile,
  type LayerInMemory,
  pack,
  sha256Of,
  sourceFile,
  textBytes,
} from "./archive/examples.ts";
import { Damage, flipped } from "./damage.ts";
import {
  atEveryCall,
  inMemory,
  intercept,
  key,
  makePod,
  newWorld,
  type Pod,
  type PodOptions,
  readFiles,
  readStore,
  rootName,
  type StoreKind,
  storeKinds,
  withDirectory,
  type World,
  writeFiles,
} from "./pods.ts";
import { cacheError, exampleLayer, exampleManifest } from "./store/examples.ts";

const bytesPerMb = 1024 * 1024;

/** A layer that is only claimed: number `id`, of so many bytes. */
function claimed(id: number, bytes = 1): Layer {
  const digits = id.toString(16);
  return exampleLayer({ name: `${digits.padStart(64, "0")}-${digits.padStart(32, "0")}.tar.zst`, bytes });
}

function claimedSizes(sizes: readonly number[]): Layer[] {
  return sizes.map((bytes, id) => claimed(id, bytes));
}

/** Where the run lies among layers of these sizes. */
function runOf(sizes: readonly number[], budgetBytes: number): number[] {
  const layers = claimedSizes(sizes);
  return longestRun(layers, budgetBytes).map((layer) => layers.indexOf(layer));
}

test("longestRun() is as many neighbours as the budget allows", () => {
  assert.deepEqual(runOf([1, 1, 1], 3), [0, 1, 2]);
  assert.deepEqual(runOf([1, 1, 1, 5, 1, 1], 3), [0, 1, 2]);
  assert.deepEqual(runOf([9, 1, 1, 1], 3), [1, 2, 3]);
  assert.deepEqual(runOf([1, 2, 3], 100), [0, 1, 2]);
});

test("longestRun() is the newest of several that are as long", () => {
  assert.deepEqual(runOf([1, 1, 1, 1], 2), [2, 3]);
  assert.deepEqual(runOf([1, 1, 9, 1, 1, 9], 4), [3, 4]);
  assert.deepEqual(runOf([1, 1, 1, 9, 1, 1], 3), [0, 1, 2]);
});

test("longestRun() goes up to the budget, that included", () => {
  assert.deepEqual(runOf([2, 2], 4), [0, 1]);
  assert.deepEqual(runOf([2, 2], 3), [1]);
});

test("longestRun() leaves out what is above the budget by itself, and is empty where everything is", () => {
  assert.deepEqual(runOf([1, 5, 1, 1], 4), [2, 3]);
  assert.deepEqual(runOf([5, 6, 7], 4), []);
  assert.deepEqual(runOf([], 4), []);
});

test("longestRun() is what trying every run finds", () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 12 }),
    fc.integer({ min: 0, max: 40 }),
    (sizes, budgetBytes) => {
      let best: number[] = [];
      for (let from = 0; from < sizes.length; from++) {
        for (let to = from; to < sizes.length; to++) {
          const bytes = sizes.slice(from, to + 1).reduce((sum, size) => sum + size, 0);
          const run = Array.from({ length: to + 1 - from }, (_, at) => from + at);
          if (bytes <= budgetBytes && run.length >= best.length) best = run;
        }
      }
      assert.deepEqual(runOf(sizes, budgetBytes), best);
    },
  ));
});

function headNaming(layers: readonly Layer[], condemned: readonly string[] = []): Head {
  const manifest = exampleManifest({ layers: [...layers], condemned: [...condemned] });
  return { generation: { manifest, sha256: "a".repeat(64) }, next: manifest.n + 1 };
}

const [l0, l1, l2, l3, l4] = [claimed(0), claimed(1), claimed(2), claimed(3), claimed(4)];
const replacing = claimed(99);

test("withRunReplaced() has the new layer in the place of the run, and keeps the others in order", () => {
  const head = headNaming([l0, l1, l2, l3]);
  assert.deepEqual(withRunReplaced(head, [l1, l2], replacing), [l0, replacing, l3]);
  assert.deepEqual(withRunReplaced(head, [l0, l1], replacing), [replacing, l2, l3]);
  assert.deepEqual(withRunReplaced(head, [l2, l3], replacing), [l0, l1, replacing]);
  assert.deepEqual(withRunReplaced(head, [l0, l1, l2, l3], replacing), [replacing]);
});

test("withRunReplaced() takes the run for what its names say", () => {
  const head = headNaming([l0, l1, l2]);
  assert.deepEqual(withRunReplaced(head, [{ ...l1 }, { ...l2 }], replacing), [l0, replacing]);
});

test("withRunReplaced() takes nothing but exactly that run", () => {
  const heads: Readonly<Record<string, readonly Layer[]>> = {
    "one is gone": [l0, l1, l3],
    "its first is gone": [l0, l2, l3],
    "its last is cut off": [l0, l1, l2],
    "its order changed": [l0, l1, l3, l2],
    "another came in between": [l1, l4, l2, l3],
    "one was replaced": [l0, l1, l4, l3],
    "all are gone": [l0, l4],
    "it was evicted": [],
  };
  for (const [what, layers] of Object.entries(heads)) {
    assert.equal(withRunReplaced(headNaming(layers), [l1, l2, l3], replacing), undefined, what);
  }
  assert.equal(withRunReplaced({ generation: undefined, next: 1 }, [l1, l2], replacing), undefined);
});

test("withRunReplaced() names no layer that the head condemns", () => {
  const layers = [l0, l1, l2];
  assert.equal(
    withRunReplaced(headNaming(layers, [l4.name, replacing.name]), [l1, l2], replacing),
    undefined,
  );
  assert.deepEqual(withRunReplaced(headNaming(layers, [l4.name]), [l1, l2], replacing), [l0, replacing]);
});

interface Bench {
  readonly world: World;
  readonly store: Store;
  readonly pod: (options?: PodOptions, name?: string) => Pod;
  /** Commits a layer of these files after those that are there. */
  readonly add: (...files: SourceFile[]) => Promise<Layer>;
}

function withBench(act: (bench: Bench) => Promise<void>, kind: StoreKind = inMemory): Promise<void> {
  return withDirectory(async (base) => {
    const world = newWorld(kind.files);
    const { store } = await kind.make(world, base);
    await act({
      world,
      store,
      pod: (options = {}, name = "pod") =>
        makePod(world, path.join(base, name), {
          ...options,
          config: { compactAfterLayers: 2, ...options.config },
        }),
      add: async (...files) => {
        const layer = await publish(store, await pack(files));
        await put(world, store, [...await layersOf(store), layer]);
        return layer;
      },
    });
  });
}

async function publish(store: Store, { bytes, layer }: LayerInMemory): Promise<Layer> {
  await using upload = await store.beginLayer(key);
  await upload.write(bytes);
  return { ...layer, name: await upload.publish() };
}

/** Commits these layers, whatever the head has. */
async function put(
  world: World,
  store: Store,
  layers: readonly Layer[],
  condemned: readonly string[] = [],
): Promise<void> {
  const head = await findHead(store, key);
  const next = { layers, condemned, roots: { [rootName]: { path: "/tmp/x" } } };
  assert.equal(await putNext(world, store, { key, head, next }), "put");
}

async function headOf(store: Store): Promise<Generation> {
  return (await findHead(store, key)).generation ?? assert.fail("there is no generation");
}

async function layersOf(store: Store): Promise<readonly Layer[]> {
  return (await findHead(store, key)).generation?.manifest.layers ?? [];
}

/** All that a load would restore, by path, every byte of it read. */
async function contentsOf(store: Store): Promise<Record<string, unknown>> {
  const facts: Record<string, unknown> = {};
  await using opened = await openLayers(store, key, { layers: await layersOf(store) });
  for (const contents of opened.contents) {
    const { name } = contents.layer;
    const files = [...opened.plan.values()].filter(({ layer }) => layer === name);
    await unpackLayer({ file: opened.file(name), contents }, files, (planned, content) => {
      const { path, mode, mtime, replacements, sha256, size } = planned;
      assert.equal(sha256Of(content), sha256);
      facts[path] = { mode, mtime, replacements, size, content: Buffer.from(content).toString() };
    });
  }
  return facts;
}

const replaced = (path: string, content: string, replacements: number) =>
  sourceFile(path, content, { replacements, mtimeNs: 1_760_000_009_000_000_001n });

/** Four layers with everything that a file can be. */
const rich: readonly (readonly SourceFile[])[] = [
  [
    sourceFile("r/a", "old a", { mode: 0o600 }),
    sourceFile("r/dir/b", "b", { mode: 0o755, mtimeNs: 1_760_000_000_000_000_001n }),
    sourceFile("r/empty", "", { mode: 0o444, mtimeNs: -1n }),
  ],
  [replaced("r/a", "newer a", 1), sourceFile("r/twin", "b", { mode: 0o640 }), sourceFile("r/c", "c")],
  [sourceFile("other/z", "z".repeat(5000)), sourceFile("r/empty-too", "")],
  [replaced("r/a", "newest a", 2), sourceFile("r/dir/d", "d", { mtimeNs: 1_760_000_000_999_999_999n })],
];

async function addRich({ add }: Bench): Promise<Layer[]> {
  const layers: Layer[] = [];
  for (const files of rich) layers.push(await add(...files));
  return layers;
}

const namesOf = (layers: readonly Layer[]) => layers.map(({ name }) => name);

for (const kind of storeKinds) {
  test(`more layers than there should be become one, in a store ${kind.name}`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      const layers = await addRich(bench);
      const [before, old] = [await contentsOf(store), await headOf(store)];
      await compact(pod(), store);
      const { manifest } = await headOf(store);
      const [one, ...more] = manifest.layers;
      assert.deepEqual([manifest.n, more], [5, []]);
      assert.deepEqual(one?.replaces, namesOf(layers));
      assert.equal(one?.files, 8);
      assert.deepEqual(await contentsOf(store), before);
      assert.deepEqual(manifest.parent, { n: 4, sha256: old.sha256 });
      assert.deepEqual(manifest.roots, old.manifest.roots);
      // Until a prune, whoever reads the generation before finds its layers.
      for (const layer of layers) {
        await using file = await store.openLayer(key, layer.name);
        assert.equal(file?.bytes, layer.bytes);
      }
    }, kind));
}

test("a path that occurs in two layers of the run has the later one's file, once", () =>
  withBench(async ({ store, pod, add }) => {
    await add(sourceFile("r/a", "first"), sourceFile("r/b", "b"));
    await add(replaced("r/a", "second", 1));
    await add(replaced("r/a", "third", 2));
    await compact(pod(), store);
    assert.deepEqual(await readStore(store), { "r/a": "third", "r/b": "b" });
    const { manifest } = await headOf(store);
    await using opened = await openLayers(store, key, manifest);
    assert.deepEqual(
      opened.contents.flatMap(({ index }) => index.files.map((file) => [file.path, file.replacements]))
        .sort(),
      [["r/a", 2], ["r/b", undefined]],
    );
  }));

test("a path that occurs after the run as well keeps the file of that later layer", () =>
  withBench(async ({ store, pod, add }) => {
    const [first, second] = [await add(sourceFile("r/a", "1")), await add(sourceFile("r/b", "b"))];
    const last = await add(replaced("r/a", "2", 1), sourceFile("r/big", noise(3000)));
    const before = await contentsOf(store);
    await compact(pod({ config: budget(first, second) }), store);
    const [compacted, kept] = await layersOf(store);
    assert.deepEqual([compacted?.replaces, kept], [namesOf([first, second]), last]);
    assert.deepEqual(await contentsOf(store), before);
  }));

/** Text that does not compress. */
function noise(length: number): string {
  let text = "";
  for (let round = 0; text.length < length; round++) text += sha256Of(textBytes(String(round)));
  return text.slice(0, length);
}

/** A budget of exactly these layers. */
function budget(...layers: readonly Layer[]): { compactBudgetMb: number } {
  return { compactBudgetMb: storedBytes(layers) / bytesPerMb };
}

test("any layers become fewer that hold the same", () =>
  withDirectory(async (base) => {
    const paths = fc.constantFrom("r/a", "r/b", "r/c/d", "r/c/e", "s/x");
    const content = fc.constantFrom("", "same", "x".repeat(600), noise(2000));
    const file = fc.record({
      path: paths,
      content,
      mode: fc.constantFrom(0o644, 0o755, 0o400),
      mtimeNs: fc.bigInt({ min: 0n, max: 2n ** 62n }),
      replacements: fc.constantFrom(0, 1, 2, 3),
    });
    const layer = fc.uniqueArray(file, { selector: ({ path }) => path, minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(layer, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 8000 }),
        async (histories, budgetBytes) => {
          const world = newWorld(inMemory.files);
          const { store } = await inMemory.make(world, base);
          for (const files of histories) {
            const packed = await pack(
              files.map(({ path, content, ...about }) => sourceFile(path, content, about)),
            );
            await put(world, store, [...await layersOf(store), await publish(store, packed)]);
          }
          const [before, layers] = [await contentsOf(store), await layersOf(store)];
          const config = { compactAfterLayers: 1, compactBudgetMb: budgetBytes / bytesPerMb };
          await compact(makePod(world, path.join(base, "pod"), { config }), store);
          assert.deepEqual(await contentsOf(store), before);
          const run = longestRun(layers, budgetBytes);
          const length = run.length < 2 ? layers.length : layers.length - run.length + 1;
          assert.equal((await layersOf(store)).length, length);
        },
      ),
      { numRuns: 40 },
    );
  }));

/** `store`, with the names of the calls. */
function recorded(store: Store): { store: Store; names: string[] } {
  const names: string[] = [];
  return { store: intercept(store, ({ name }) => names.push(name)), names };
}

/** Calls that look for the head. */
const looks = new Set(["generationNumbers", "readGeneration"]);

test("as many layers as there may be are neither read nor written", () =>
  withBench(async (bench) => {
    await addRich(bench);
    const { store, names } = recorded(bench.store);
    await compact(bench.pod({ config: { compactAfterLayers: 4 } }), store);
    assert.deepEqual(names.filter((name) => !looks.has(name)), []);
    assert.equal((await headOf(store)).manifest.n, 4);
    await compact(bench.pod({ config: { compactAfterLayers: 3 } }), store);
    assert.equal((await headOf(store)).manifest.n, 5);
  }));

test("there is nothing to compact in an empty store, and in an evicted cache", () =>
  withBench(async ({ world, store, pod }) => {
    await compact(pod({ config: { compactAfterLayers: 0 } }), store);
    assert.equal((await findHead(store, key)).generation, undefined);
    await put(world, store, []);
    await compact(pod({ config: { compactAfterLayers: 0 } }), store);
    assert.equal((await headOf(store)).manifest.n, 1);
  }));

test("layers above the budget stay where they are", () =>
  withBench(async ({ store, pod, add }) => {
    const small = async (name: string) => await add(sourceFile(`r/${name}`, name));
    const large = await add(sourceFile("r/large", noise(4000)));
    const run = [await small("a"), await small("b"), await small("c")];
    const larger = await add(sourceFile("r/larger", noise(6000)));
    const last = await small("d");
    const before = await contentsOf(store);
    const told = pod({ config: budget(...run) });
    await compact(told, store);
    const [first, compacted, ...more] = await layersOf(store);
    assert.deepEqual([first, more], [large, [larger, last]]);
    assert.deepEqual(compacted?.replaces, namesOf(run));
    assert.deepEqual(await contentsOf(store), before);
    assert.deepEqual(told.informed, [
      `3 of 6 layers, ${formatBytes(storedBytes(run))}, become one of ${formatBytes(compacted?.bytes ?? 0)}`,
    ]);
  }));

test("a budget for one layer at most, or none: nothing is opened or written", () =>
  withBench(async (bench) => {
    const layers = await addRich(bench);
    const { store, names } = recorded(bench.store);
    const largest = layers.reduce((a, b) => a.bytes > b.bytes ? a : b);
    assert.ok(
      layers.every((layer, at) => at === 0 || layer.bytes + (layers[at - 1]?.bytes ?? 0) > largest.bytes),
    );
    for (const config of [budget(largest), { compactBudgetMb: 0 }]) {
      await compact(bench.pod({ config }), store);
    }
    assert.deepEqual(names.filter((name) => !looks.has(name)), []);
    assert.deepEqual(await layersOf(store), layers);
  }));

test("a store with less space than the run has: nothing is opened or written", () =>
  withBench(async (bench) => {
    const layers = await addRich(bench);
    const needed = storedBytes(layers);
    const { store, names } = recorded({ ...bench.store, freeBytes: () => Promise.resolve(needed - 1) });
    await compact(bench.pod(), store);
    assert.deepEqual(names.filter((name) => !looks.has(name)), ["freeBytes"]);
    assert.deepEqual(await layersOf(store), layers);
    await compact(bench.pod(), { ...bench.store, freeBytes: () => Promise.resolve(needed) });
    assert.equal((await layersOf(store)).length, 1);
  }));

test("a compacted cache never passes MAX_CACHE_SIZE_MB", async () => {
  let layers: readonly Layer[] = [];
  const compactWithin = (maxBytes: number) =>
    withBench(async (bench) => {
      await addRich(bench);
      await compact(bench.pod({ config: { maxCacheSizeMb: maxBytes / bytesPerMb } }), bench.store);
      layers = await layersOf(bench.store);
    });
  await compactWithin(bytesPerMb);
  const [compacted = assert.fail()] = layers;
  await compactWithin(compacted.bytes);
  assert.deepEqual(layers, [compacted]);
  await compactWithin(compacted.bytes - 1);
  assert.equal(layers.length, 4);
});

test("whoever opened the layers before goes on reading them", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await addRich(bench);
    const before = await readStore(store);
    await using opened = await openLayers(store, key, { layers: await layersOf(store) });
    await compact(pod(), store);
    assert.equal((await layersOf(store)).length, 1);
    const read: Record<string, string> = {};
    for (const contents of opened.contents) {
      const { name } = contents.layer;
      const files = [...opened.plan.values()].filter(({ layer }) => layer === name);
      await unpackLayer({ file: opened.file(name), contents }, files, ({ path }, content) => {
        read[path] = Buffer.from(content).toString();
      });
    }
    assert.deepEqual(read, before);
  }));

test("a load that found the generation before a compaction, and reads its layers after it, restores all", () =>
  withBench(async ({ store, pod, add }) => {
    const names = ["a", "b", "c"];
    for (const name of names) await add(sourceFile(`${rootName}/${name}`, `content ${name}`));
    let compacted = false;
    const compactingFirst: Store = {
      ...store,
      openLayer: async (key, name) => {
        if (!compacted) {
          compacted = true;
          await compact(pod(), store);
        }
        return await store.openLayer(key, name);
      },
    };
    const reader = pod({}, "reader");
    const outcome = await load(reader, compactingFirst);
    assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SUCCESS", 3]);
    assert.equal((await headOf(store)).manifest.n, 4);
    assert.deepEqual(
      readFiles(reader.dir),
      Object.fromEntries(names.map((name) => [name, `content ${name}`])),
    );
  }));

/** `store`, with `act` done before each put, told of its number, and counted from 1. */
function watchPuts(store: Store, act: (attempt: number, n: number) => Promise<void>): Store {
  let attempt = 0;
  return {
    ...store,
    putGeneration: async (key, n, bytes) => {
      await act(++attempt, n);
      return await store.putGeneration(key, n, bytes);
    },
  };
}

/** `store`, with `act` done once a layer was published. */
function afterPublish(store: Store, act: (name: string) => Promise<void>): Store {
  return {
    ...store,
    beginLayer: async (key) => {
      const upload = await store.beginLayer(key);
      return {
        ...upload,
        publish: async () => {
          const name = await upload.publish();
          await act(name);
          return name;
        },
      };
    },
  };
}

test("a layer that was added meanwhile stays, after the compacted one", () =>
  withBench(async (bench) => {
    const { store, pod, add } = bench;
    const layers = await addRich(bench);
    let added: Layer | undefined;
    await compact(
      pod(),
      afterPublish(store, async () => {
        added = await add(replaced("r/a", "yet another", 3));
      }),
    );
    const [compacted, ...more] = await layersOf(store);
    assert.deepEqual([compacted?.replaces, more], [namesOf(layers), [added]]);
    assert.equal((await readStore(store))["r/a"], "yet another");
  }));

/** What others may do to the run's layers. */
const meddlings: Readonly<Record<string, (bench: Bench, layers: readonly Layer[]) => Promise<void>>> = {
  "it was evicted": ({ world, store }) => put(world, store, []),
  "another compaction was first": ({ store, pod }) => compact(pod(), store),
  "a save dropped a bad layer": ({ world, store }, [first, , ...rest]) =>
    put(world, store, [first ?? assert.fail(), ...rest]),
  "a save started over": async ({ world, store }) =>
    await put(world, store, [await publish(store, await pack([sourceFile("r/q", "q")]))]),
};

for (const [what, meddle] of Object.entries(meddlings)) {
  for (const when of ["before the look", "between look and put"] as const) {
    test(`a compaction gives up, with the head as it is, as ${what} ${when}`, () =>
      withBench(async (bench) => {
        const { store, pod } = bench;
        const layers = await addRich(bench);
        let head: Generation | undefined;
        const act = async () => {
          await meddle(bench, layers);
          head = await headOf(store);
        };
        let puts = 0;
        const counted = watchPuts(store, () => Promise.resolve(void puts++));
        await compact(
          pod(),
          when === "before the look"
            ? afterPublish(counted, act)
            : watchPuts(counted, (attempt) => attempt === 1 ? act() : Promise.resolve()),
        );
        assert.deepEqual(await headOf(store), head ?? assert.fail("nobody meddled"));
        assert.equal(puts, when === "before the look" ? 0 : 1);
      }));
  }
}

test("a compaction names no layer that a prune condemned meanwhile", () =>
  withBench(async (bench) => {
    const { world, store, pod } = bench;
    const layers = await addRich(bench);
    await compact(pod(), afterPublish(store, (name) => put(world, store, layers, [name])));
    const { manifest } = await headOf(store);
    assert.deepEqual([manifest.n, manifest.layers], [5, layers]);
  }));

test("a compaction that slept until its layer was pruned, and no list condemns it any more, names it not", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    const layers = await addRich(bench);
    await compact(pod(), afterPublish(store, (name) => store.removeLayer(key, name)));
    const { manifest } = await headOf(store);
    assert.deepEqual([manifest.n, manifest.layers], [4, layers]);
    assert.equal(Object.keys(await readStore(store)).length, 8);
  }));

test("a compaction carries on what the head condemns", () =>
  withBench(async (bench) => {
    const { world, store, pod } = bench;
    const layers = await addRich(bench);
    await put(world, store, layers, [l4.name]);
    await compact(pod(), store);
    const { manifest } = await headOf(store);
    assert.deepEqual([manifest.n, manifest.layers.length, manifest.condemned], [6, 1, [l4.name]]);
  }));

/** How many puts a compaction makes where others win the first `lost` numbers. */
async function raced(lost: number): Promise<{ puts: number; layers: number; uploads: number }> {
  let puts = 0;
  let layers = 0;
  let uploads = 0;
  await withBench(async (bench) => {
    const { world, store, pod } = bench;
    const old = await addRich(bench);
    const before = await contentsOf(store);
    const racing = watchPuts(store, async (attempt) => {
      puts = attempt;
      if (attempt <= lost) await put(world, store, old);
    });
    await compact(
      pod(),
      intercept(racing, ({ name }) => {
        if (name === "publish") uploads++;
      }),
    );
    layers = (await layersOf(store)).length;
    assert.deepEqual(await contentsOf(store), before);
  });
  return { puts, layers, uploads };
}

test("a compaction whose number another won tries the next one, with the same layer", async () => {
  // The put that won is not told from one that lost: the fresh look shows that the run is gone.
  for (const lost of [0, 1, 2, 4]) {
    assert.deepEqual(await raced(lost), { puts: lost + 1, layers: 1, uploads: 1 });
  }
});

test("a compaction that loses five times running leaves it to the next save", async () => {
  assert.deepEqual(await raced(Infinity), { puts: 5, layers: 4, uploads: 1 });
});

/** `store` with other bytes in one layer. */
function withLayer(store: Store, layer: string, change: (bytes: Uint8Array) => Uint8Array): Store {
  const damage = new Damage();
  damage.layer = (bytes, name) => name === layer ? change(bytes) : bytes;
  return damage.on(store);
}

function assertBadLayer(layer: Layer, message = /(?:)/): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CacheError, String(error));
    assert.ok(error.code === "bad_layer" || error.code === "bad_index", error.code);
    assert.equal(error.layer, layer.name);
    assert.match(error.message, message);
    return true;
  };
}

test("a byte that is wrong anywhere in a layer of the run stops it, with the cache as it was", () =>
  withBench(async ({ store, pod, add }) => {
    const layers = [
      await add(sourceFile("r/a", "a")),
      await add(sourceFile("r/b", "b"), sourceFile("r/c", "")),
    ];
    const [, damaged = assert.fail()] = layers;
    const operation = pod({ config: { compactAfterLayers: 1 } });
    const stored = namesOf(layers).sort();
    for (let at = 0; at < damaged.bytes; at++) {
      const rotten = withLayer(store, damaged.name, (bytes) => flipped(bytes, at));
      await assert.rejects(compact(operation, rotten), assertBadLayer(damaged));
    }
    const cut = withLayer(store, damaged.name, (bytes) => bytes.slice(0, -1));
    await assert.rejects(compact(operation, cut), assertBadLayer(damaged));
    assert.deepEqual((await store.layers(key)).map(({ name }) => name).sort(), stored);
    const { manifest } = await headOf(store);
    assert.deepEqual([manifest.n, manifest.layers], [2, layers]);
  }));

/** A layer whose frames are in order and whose index tells another digest of its one file, at the path given. */
async function lying(path: string): Promise<LayerInMemory> {
  const content = textBytes("content");
  const raw = new Uint8Array(512);
  raw.set(content);
  return await assemble([raw], [indexedFile(path, content, { sha256: sha256Of(textBytes("else")) })]);
}

test("a file whose bytes are not what its index says is not copied under the right digest", () =>
  withBench(async ({ world, store, pod, add }) => {
    const first = await add(sourceFile("r/a", "a"));
    const liar = await publish(store, await lying("r/b"));
    await put(world, store, [first, liar]);
    await assert.rejects(
      compact(pod({ config: { compactAfterLayers: 1 } }), store),
      assertBadLayer(liar, /as "r\/b" has another SHA-256$/),
    );
    const { manifest } = await headOf(store);
    assert.deepEqual([manifest.n, manifest.layers], [2, [first, liar]]);
    assert.equal((await store.layers(key)).length, 2);
  }));

test("a layer of the run that is absent stops it; one outside the run is not asked for", () =>
  withBench(async ({ store, pod, add }) => {
    const outside = await add(sourceFile("r/large", noise(5000)));
    const run = [await add(sourceFile("r/a", "a")), await add(sourceFile("r/b", "b"))];
    await store.removeLayer(key, outside.name);
    const config = budget(...run);
    const absent: Store = {
      ...store,
      openLayer: (key, name) =>
        name === run[1]?.name ? Promise.resolve(undefined) : store.openLayer(key, name),
    };
    await assert.rejects(compact(pod({ config }), absent), cacheError("bad_layer", /is not in the store$/));
    assert.equal((await headOf(store)).manifest.n, 3);
    await compact(pod({ config }), store);
    assert.equal((await layersOf(store)).length, 2);
  }));

test("a compaction that was aborted stops at the next step, and commits nothing", () =>
  withBench(async (bench) => {
    const layers = await addRich(bench);
    const reason = new Error("stop");
    const aborting = ["openLayer", "beginLayer", "write", "publish"];
    for (const due of aborting) {
      const controller = new AbortController();
      const { store, names } = recorded(intercept(bench.store, ({ name }) => {
        if (name === due) controller.abort(reason);
      }));
      await assert.rejects(compact(bench.pod({ signal: controller.signal }), store), reason);
      assert.deepEqual(names.filter((name) => name === "putGeneration"), [], due);
      assert.equal(names.includes("publish"), due === "publish", due);
    }
    const { manifest } = await headOf(bench.store);
    assert.deepEqual([manifest.n, manifest.layers], [4, layers]);
  }));

test("a compaction that was aborted between two puts makes no second one", () =>
  withBench(async (bench) => {
    const { world, store, pod } = bench;
    const layers = await addRich(bench);
    const controller = new AbortController();
    let puts = 0;
    const racing = watchPuts(store, async () => {
      puts++;
      await put(world, store, layers);
      controller.abort(new Error("stop"));
    });
    await assert.rejects(compact(pod({ signal: controller.signal }), racing), /^Error: stop$/);
    assert.deepEqual([puts, (await headOf(store)).manifest.layers], [1, layers]);
  }));

test("no file is copied once a compaction was aborted", () =>
  withBench(async ({ store, pod, add }) => {
    const [a, b] = [await add(sourceFile("r/a", "a")), await add(sourceFile("r/b", "b"))];
    const controller = new AbortController();
    const reads: string[] = [];
    const watched: Store = {
      ...store,
      openLayer: async (key, name) => {
        const file = await store.openLayer(key, name);
        return file && {
          ...file,
          read: (offset, length) => {
            if (offset === 0) {
              reads.push(name);
              controller.abort();
            }
            return file.read(offset, length);
          },
        };
      },
    };
    const operation = pod({ signal: controller.signal, config: { compactAfterLayers: 1 } });
    await assert.rejects(compact(operation, watched), { name: "AbortError" });
    assert.deepEqual(reads, [a.name]);
    assert.deepEqual(await layersOf(store), [a, b]);
  }));

function storeFailure(): never {
  throw new CacheError("store_io", "the share failed");
}

for (const how of ["once", "onwards"] as const) {
  test(`each call of a compaction that fails, ${how}: the cache is as it was, or compacted`, () =>
    withDirectory(async (base) => {
      let compactions = 0;
      const names = await atEveryCall(async (point) => {
        const world = newWorld(inMemory.files);
        const { store } = await inMemory.make(world, base);
        for (const files of rich) {
          await put(world, store, [...await layersOf(store), await publish(store, await pack(files))]);
        }
        const [before, layers] = [await contentsOf(store), await layersOf(store)];
        const pod = makePod(world, path.join(base, "pod"), { config: { compactAfterLayers: 2 } });
        const failing = intercept(store, point[how](storeFailure));
        await compact(pod, failing).catch((error: unknown) => {
          const failed = error instanceof SuppressedError ? error.suppressed : error;
          assert.ok(failed instanceof CacheError && failed.code === "store_io", String(error));
        });
        assert.deepEqual(await contentsOf(store), before);
        const after = await layersOf(store);
        if (after.length === 1) {
          compactions++;
          assert.deepEqual(after[0]?.replaces, namesOf(layers));
        } else assert.deepEqual(after, layers);
        // Whatever became of it, the next one gets it done.
        await compact(pod, store);
        assert.equal((await layersOf(store)).length, 1);
        assert.deepEqual(await contentsOf(store), before);
      });
      for (const name of ["freeBytes", "openLayer", "read", "write", "publish", "putGeneration", "dispose"]) {
        assert.ok(names.includes(name), name);
      }
      assert.ok(compactions > 0);
    }));
}

test("a put whose answer is lost is a failure, after which the cache is compacted", () =>
  withBench(async (bench) => {
    const { store, pod } = bench;
    await addRich(bench);
    const before = await contentsOf(store);
    const losing: Store = {
      ...store,
      putGeneration: async (key, n, bytes) => {
        await store.putGeneration(key, n, bytes);
        return storeFailure();
      },
    };
    await assert.rejects(compact(pod(), losing), cacheError("store_io"));
    assert.deepEqual([(await layersOf(store)).length, await contentsOf(store)], [1, before]);
    await compact(pod(), store);
    assert.equal((await headOf(store)).manifest.n, 5);
  }));

async function openedAndClosed(bench: Bench, act: (store: Store) => Promise<void>): Promise<number> {
  let open = 0;
  const store: Store = {
    ...bench.store,
    openLayer: async (key, name) => {
      const file = await bench.store.openLayer(key, name);
      if (!file) return file;
      open++;
      const close = () => {
        open--;
        return file[Symbol.asyncDispose]();
      };
      return { ...file, [Symbol.asyncDispose]: close };
    },
  };
  await act(store);
  return open;
}

test("a compaction closes every layer, also where it fails", () =>
  withBench(async (bench) => {
    await addRich(bench);
    const failing = await openedAndClosed(
      bench,
      (store) =>
        assert.rejects(compact(bench.pod(), { ...store, beginLayer: () => Promise.reject(new Error()) })),
    );
    assert.equal(failing, 0);
    assert.equal(await openedAndClosed(bench, (store) => compact(bench.pod(), store)), 0);
  }));

/** A save of one new file, from a pod of its own. */
function saveOne(
  { pod }: Bench,
  { store, name, options = {} }: { store: Store; name: string; options?: PodOptions },
): { told: Pod; saved: ReturnType<typeof save> } {
  const told = pod(options, `saver-${name}`);
  writeFiles(told.dir, { [name]: `content ${name}` });
  return { told, saved: save(told, () => Promise.resolve(store)) };
}

const saved = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [`${rootName}/${name}`, `content ${name}`]));

test("the save that makes one layer too many compacts, and is SUCCESS with the layer it saved", () =>
  withBench(async (bench) => {
    const { store } = bench;
    for (const name of ["a", "b"]) await saveOne(bench, { store, name }).saved;
    assert.equal((await layersOf(store)).length, 2);
    const { told, saved: saving } = saveOne(bench, { store, name: "c" });
    const outcome = await saving;
    assert.deepEqual([outcome.status, outcome.generation], ["SUCCESS", 3]);
    const { manifest } = await headOf(store);
    assert.deepEqual([manifest.n, manifest.layers.length, manifest.layers[0]?.replaces?.length], [4, 1, 3]);
    assert.deepEqual(await readStore(store), saved("a", "b", "c"));
    assert.deepEqual(told.notices, []);
  }));

test("a save that goes on without the packer's lease does not compact", () =>
  withBench(async (bench) => {
    const { world, store } = bench;
    for (const name of ["a", "b"]) await saveOne(bench, { store, name }).saved;
    {
      await using held = await store.leases.take({ kind: "pack", key }, "another pod") ?? assert.fail();
      world.clock.onSleep = () => void held.beat();
      assert.equal((await saveOne(bench, { store, name: "c" }).saved).status, "SUCCESS");
      world.clock.onSleep = () => {};
    }
    assert.equal((await layersOf(store)).length, 3);
    await saveOne(bench, { store, name: "d" }).saved;
    assert.equal((await layersOf(store)).length, 1);
    assert.deepEqual(await readStore(store), saved("a", "b", "c", "d"));
  }));

/** `store`, whose second upload cannot begin: the first is the save's own, the second the compaction's. */
function failingCompaction(store: Store, effect: () => void): Store {
  let uploads = 0;
  return intercept(store, ({ name }) => {
    if (name === "beginLayer" && ++uploads === 2) effect();
  });
}

test("a compaction that fails leaves the save a SUCCESS, with a notice", () =>
  withBench(async (bench) => {
    const { store } = bench;
    for (const name of ["a", "b"]) await saveOne(bench, { store, name }).saved;
    const failing = failingCompaction(store, storeFailure);
    const { told, saved: saving } = saveOne(bench, { store: failing, name: "c" });
    assert.equal((await saving).status, "SUCCESS");
    assert.deepEqual(told.notices, ["the history was not tidied: the share failed"]);
    assert.equal((await headOf(store)).manifest.n, 3);
    assert.deepEqual(await readStore(store), saved("a", "b", "c"));
  }));

test("a compaction that is aborted leaves the save a SUCCESS, without a notice", () =>
  withBench(async (bench) => {
    const { store } = bench;
    for (const name of ["a", "b"]) await saveOne(bench, { store, name }).saved;
    const controller = new AbortController();
    const { told, saved: saving } = saveOne(bench, {
      store: failingCompaction(store, () => controller.abort()),
      name: "c",
      options: { signal: controller.signal },
    });
    assert.equal((await saving).status, "SUCCESS");
    assert.deepEqual(told.notices, []);
    assert.equal((await headOf(store)).manifest.n, 3);
  }));
