import assert from "node:assert/strict";
import { test } from "node:test";
import { type Base, BaseFinder } from "../lib/base.ts";
import { compact } from "../lib/compaction.ts";
import { CacheError } from "../lib/errors.ts";
import type { Layer } from "../lib/manifest.ts";
import { markBadLayer, readMarks } from "../lib/marks.ts";
import { packTree } from "../lib/pack_tree.ts";
import type { Store } from "../lib/store.ts";
import { walkTree } from "../lib/tree.ts";
import { withRotten } from "./damage.ts";
import { atEveryCall, type BeforeCall, intercept, key, type Pod, rootName } from "./pods.ts";
import { cacheError } from "./store/examples.ts";
import {
  type Bench,
  countCalls,
  type Files,
  layerNames,
  manifestOf,
  putChanged,
  saveLayers,
  withBench,
} from "./workbench.ts";

/** A history of three layers. */
const history: readonly Files[] = [{ a: "a", "b/x": "x" }, { "b/y": "y" }, { c: "c" }];

interface Saved extends Bench {
  readonly layers: readonly Layer[];
  readonly names: readonly string[];
  readonly finder: Pod;
}

function withHistory(act: (saved: Saved) => Promise<void>): Promise<void> {
  return withBench(async (bench) => {
    const layers = await saveLayers(bench, history);
    await act({ ...bench, layers, names: layers.map(({ name }) => name), finder: bench.pod("finder") });
  });
}

/** What a finder that has seen nothing yet finds. */
function find(store: Store, finder: Pod): Promise<Base> {
  return new BaseFinder(finder, store).find();
}

const namesOf = ({ layers }: Base) => layers.map(({ name }) => name);
const pathsOf = ({ plan }: Base) =>
  [...plan.keys()].map((path) => path.slice(rootName.length + 1)).toSorted();

function noLonger(name: string | undefined, problem: string): string {
  return `layer ${name} is no longer part of the cache: ${problem}`;
}

const asNoted = "it is damaged, as a reader noted";

test("without a generation there is nothing to grow from", () =>
  withBench(async ({ store, pod }) => {
    const { head, ...base } = await find(store, pod("finder"));
    assert.deepEqual(head, { generation: undefined, next: 1 });
    assert.deepEqual(base, { layers: [], plan: new Map(), dropped: [] });
  }));

test("a head in order is carried on as it is, and no frame of it is read", () =>
  withHistory(async ({ store, layers, finder }) => {
    const counted = countCalls(store);
    const base = await find(counted.store, finder);
    assert.deepEqual(base.layers, layers);
    assert.deepEqual(pathsOf(base), ["a", "b/x", "b/y", "c"]);
    assert.deepEqual(base.dropped, []);
    assert.equal(base.head.generation?.manifest.n, 3);
    assert.equal(base.head.next, 4);
    // One for each index.
    assert.equal(counted.count("read"), 3);
    assert.deepEqual(finder.notices, []);
  }));

test("a base is remembered while the head is the same, and its next number is always fresh", () =>
  withHistory(async ({ store, finder, pod }) => {
    const counted = countCalls(store);
    const finding = new BaseFinder(finder, counted.store);
    const first = await finding.find();
    await store.putGeneration(key, 4, new TextEncoder().encode("torn"));
    const second = await finding.find();
    assert.equal(counted.count("openLayer"), 3);
    assert.deepEqual(second.layers, first.layers);
    assert.deepEqual([first.head.next, second.head.next], [4, 5]);
    await saveLayers({ store, pod }, [{ d: "d" }]);
    assert.deepEqual(pathsOf(await finding.find()), ["a", "b/x", "b/y", "c", "d"]);
  }));

test("a layer that is marked and damaged is not carried on, and its paths count as absent", () =>
  withHistory(async ({ store, names, layers, finder }) => {
    await markBadLayer(store, key, names[1] ?? "");
    const base = await find(withRotten(store, names[1]), finder);
    assert.deepEqual(base.layers, [layers[0], layers[2]]);
    assert.deepEqual(pathsOf(base), ["a", "b/x", "c"]);
    assert.deepEqual(base.dropped, [names[1]]);
    assert.deepEqual(finder.notices, [noLonger(names[1], asNoted)]);
    // The mark stays until a head no longer names the layer.
    assert.equal((await readMarks(store, key)).length, 1);
  }));

test("a damage that nobody marked is not looked for: that would read the whole cache on every save", () =>
  withHistory(async ({ store, names, finder }) => {
    assert.deepEqual(namesOf(await find(withRotten(store, names[1]), finder)), names);
  }));

test("a mark on a layer that proves intact is forgotten, and the layer stays", () =>
  withHistory(async ({ store, names, finder }) => {
    for (const name of [names[1], names[2], "0".repeat(64) + names[0]?.slice(64)]) {
      await markBadLayer(store, key, name ?? "");
    }
    const counted = countCalls(withRotten(store, names[2]));
    const finding = new BaseFinder(finder, counted.store);
    const base = await finding.find();
    assert.deepEqual(namesOf(base), [names[0], names[1]]);
    const left = (await readMarks(store, key)).map((mark) => mark.kind === "bad_layer" && mark.layer);
    // Of a layer that no head names nothing is known, and nothing is done.
    assert.deepEqual(left.toSorted(), ["0".repeat(64) + names[0]?.slice(64), names[2]].toSorted());
    // What was verified once is not read again, marked anew or not.
    await store.putMark(
      key,
      new TextEncoder().encode(JSON.stringify({ kind: "bad_layer", layer: names[1] })),
    );
    const opened = counted.count("openLayer");
    assert.deepEqual(namesOf(await finding.find()), [names[0], names[1]]);
    assert.equal(counted.count("openLayer"), opened);
  }));

test("a mark that comes while a save is under way is heeded at its next look", () =>
  withHistory(async ({ store, names, finder }) => {
    const rotten = withRotten(store, names[0]);
    const finding = new BaseFinder(finder, rotten);
    assert.deepEqual((await finding.find()).dropped, []);
    await markBadLayer(store, key, names[0] ?? "");
    const base = await finding.find();
    assert.deepEqual(base.dropped, [names[0]]);
    assert.deepEqual(pathsOf(base), ["b/y", "c"]);
    assert.equal(finder.notices.length, 1);
    await finding.find();
    assert.equal(finder.notices.length, 1);
  }));

test("a mark that cannot be removed costs time, and no more", () =>
  withHistory(async ({ store, names, finder }) => {
    await markBadLayer(store, key, names[1] ?? "");
    const readOnly: Store = {
      ...store,
      removeMark: () => Promise.reject(new CacheError("store_io", "EROFS")),
    };
    assert.deepEqual(namesOf(await find(readOnly, finder)), names);
  }));

test("a layer that is gone is not carried on, marked or not", async () => {
  for (const isMarked of [false, true]) {
    await withHistory(async ({ store, names, finder }) => {
      await store.removeLayer(key, names[0] ?? "");
      if (isMarked) await markBadLayer(store, key, names[0] ?? "");
      const base = await find(store, finder);
      assert.deepEqual(namesOf(base), names.slice(1));
      assert.deepEqual(base.dropped, [names[0]]);
      const problem = `Cannot use this cache as its layer ${names[0]} is not in the store`;
      assert.deepEqual(finder.notices, [noLonger(names[0], isMarked ? asNoted : problem)]);
    });
  }
});

test("a layer that is listed and does not open is a stale view of the share, and no loss, marked or not", async () => {
  for (const isMarked of [false, true]) {
    await withHistory(async ({ store, names, finder }) => {
      if (isMarked) await markBadLayer(store, key, names[1] ?? "");
      const stale: Store = {
        ...store,
        openLayer: (at, name) => name === names[1] ? Promise.resolve(undefined) : store.openLayer(at, name),
      };
      await assert.rejects(
        find(stale, finder),
        cacheError("store_io", /^Cannot open layer \S+ of test-key although the share lists it; try again$/),
      );
      assert.deepEqual(finder.notices, []);
      assert.equal((await readMarks(store, key)).length, isMarked ? 1 : 0);
    });
  }
});

test("a layer that did not open and does so at the second try is carried on, marked or not", async () => {
  for (const isMarked of [false, true]) {
    await withHistory(async ({ store, names, finder }) => {
      if (isMarked) await markBadLayer(store, key, names[1] ?? "");
      // A network file system remembers that a name was absent, until a listing tells it better.
      let isKnown = false;
      const stale: Store = {
        ...store,
        layers: (at) => (isKnown = true, store.layers(at)),
        openLayer: (at, name) =>
          name === names[1] && !isKnown ? Promise.resolve(undefined) : store.openLayer(at, name),
      };
      const base = await find(stale, finder);
      assert.deepEqual(namesOf(base), names);
      assert.deepEqual(base.dropped, []);
      assert.deepEqual(finder.notices, []);
      assert.deepEqual(await readMarks(store, key), []);
    });
  }
});

test("a layer that opens at the second try is carried on, where the listing does not know it either", () =>
  withHistory(async ({ store, names, finder }) => {
    let opened = 0;
    const stale: Store = {
      ...store,
      layers: async (at) => (await store.layers(at)).filter(({ name }) => name !== names[1]),
      openLayer: (at, name) =>
        name === names[1] && ++opened === 1 ? Promise.resolve(undefined) : store.openLayer(at, name),
    };
    assert.deepEqual(namesOf(await find(stale, finder)), names);
    assert.deepEqual(finder.notices, []);
  }));

test("a layer whose index is damaged is found without a mark, and not carried on", () =>
  withHistory(async ({ store, names, layers, finder }) => {
    const index = layers[1]?.index ?? assert.fail();
    const damaged: Store = {
      ...store,
      openLayer: async (at, name) => {
        const file = await store.openLayer(at, name);
        return file && name === names[1]
          ? {
            ...file,
            read: (offset, length) =>
              offset === index.offset ? Promise.resolve(new Uint8Array(length)) : file.read(offset, length),
          }
          : file;
      },
    };
    const base = await find(damaged, finder);
    assert.deepEqual(base.dropped, [names[1]]);
    assert.deepEqual(pathsOf(base), ["a", "b/x", "c"]);
  }));

/** Publishes a layer of these files without committing it. */
async function publish({ pod, store }: Bench, files: Files): Promise<Layer> {
  const packer = pod(`packer of ${Object.keys(files).join().replaceAll("/", " ")}`, files);
  const { files: found } = await walkTree(packer.system.fs, packer.roots);
  const packed = await packTree(packer, store, { files: [...found.values()], maxBytes: 1e9 });
  return packed.kind === "published" ? packed.layer : assert.fail(packed.kind);
}

test("of layers that contradict each other, each intact by itself, the later one goes", () =>
  withHistory(async (saved) => {
    const { store, names, finder } = saved;
    const asFile = await publish(saved, { b: "a file where others have a directory" });
    await putChanged(
      store,
      ({ layers }) => ({ layers: [...layers.slice(0, 2), asFile, ...layers.slice(2)] }),
    );
    const base = await find(store, finder);
    assert.deepEqual(namesOf(base), names);
    assert.deepEqual(base.dropped, [asFile.name]);
    assert.match(
      finder.notices[0] ?? "",
      /"inductor\/b" is a file in it, and "inductor\/b\/[xy]" lies below that$/,
    );
  }));

test("several layers at once, for several reasons: what is left is in order", () =>
  withHistory(async (saved) => {
    const { store, names, finder } = saved;
    await store.removeLayer(key, names[0] ?? "");
    await markBadLayer(store, key, names[2] ?? "");
    const base = await find(withRotten(store, names[2]), finder);
    assert.deepEqual(namesOf(base), [names[1]]);
    assert.deepEqual(base.dropped.toSorted(), [names[0], names[2]].toSorted());
    assert.deepEqual(pathsOf(base), ["b/y"]);
  }));

/** A head of [a, compacted from b, c and d, e]. */
function withCompacted(
  act: (saved: Bench & { all: readonly string[]; compacted: string; finder: Pod }) => Promise<void>,
): Promise<void> {
  return withBench(async (bench) => {
    const { store, pod } = bench;
    const large = Array.from({ length: 200 }, (_, at) => `${at * 7919 % 1009}`).join();
    const layers = await saveLayers(bench, [{ a: large }, { b: "b" }, { c: "c" }, { d: "d" }]);
    const budget = layers.slice(1).reduce((sum, { bytes }) => sum + bytes, 0) / (1024 * 1024);
    await compact(
      pod("compactor", {}, { config: { compactAfterLayers: 2, compactBudgetMb: budget } }),
      store,
    );
    await saveLayers(bench, [{ e: "e" }]);
    const [first, compacted = "", last] = await layerNames(store);
    const all = [...layers.map(({ name }) => name), last ?? ""];
    assert.deepEqual([first, last], [all[0], all[4]]);
    await markBadLayer(store, key, compacted);
    await act({ ...bench, all, compacted, finder: pod("finder") });
  });
}

test("in place of a damaged compacted layer come the intact ones that it had replaced", () =>
  withCompacted(async ({ store, all, compacted, finder }) => {
    const base = await find(withRotten(store, compacted), finder);
    assert.deepEqual(namesOf(base), all);
    assert.deepEqual(base.dropped, [compacted]);
    assert.deepEqual(pathsOf(base), ["a", "b", "c", "d", "e"]);
    assert.deepEqual(finder.notices, [noLonger(compacted, asNoted)]);
  }));

test("in place of a compacted layer that is gone come those that it had replaced", () =>
  withCompacted(async ({ store, all, compacted, finder }) => {
    await store.removeLayer(key, compacted);
    assert.deepEqual(namesOf(await find(store, finder)), all);
  }));

test("of the layers that a damaged one had replaced, those that are damaged or gone do not come back", () =>
  withCompacted(async ({ store, all, compacted, finder }) => {
    const [a, , c, d, e] = all;
    await store.removeLayer(key, all[1] ?? "");
    assert.deepEqual(namesOf(await find(withRotten(store, compacted, d), finder)), [a, c, e]);
  }));

test("a layer that the head condemns does not come back: it is about to be removed", () =>
  withCompacted(async ({ store, all, compacted, finder }) => {
    await putChanged(store, () => ({ condemned: [all[2] ?? ""] }));
    const base = await find(withRotten(store, compacted), finder);
    assert.deepEqual(namesOf(base), all.filter((name) => name !== all[2]));
  }));

test("a layer that the head has anyway does not come back twice", () =>
  withCompacted(async ({ store, all, compacted, finder }) => {
    const again = (await manifestOf(store, 4)).layers.find(({ name }) => name === all[3]) ?? assert.fail();
    await putChanged(store, ({ layers }) => ({ layers: [...layers, again] }));
    const [a, b, c, d, e] = all;
    assert.deepEqual(namesOf(await find(withRotten(store, compacted), finder)), [a, b, c, e, d]);
  }));

test("an older generation that is torn, or gone, tells nothing of what was replaced: others do", () =>
  withCompacted(async ({ store, all, compacted, finder }) => {
    const torn: Store = {
      ...store,
      readGeneration: async (at, n) => n === 4 ? new Uint8Array(9) : await store.readGeneration(at, n),
    };
    // Generation 3 is the newest then that knows some of them: d is lost with what was said about it.
    assert.deepEqual(
      namesOf(await find(withRotten(torn, compacted), finder)),
      all.filter((name) => name !== all[3]),
    );
    await store.removeGenerations(key, [1, 2, 3, 4]);
    assert.deepEqual(namesOf(await find(withRotten(store, compacted), finder)), [all[0], all[4]]);
  }));

test("a share that fails at whatever call is store_io, and nothing counts as damaged for it", async () => {
  const calls = await atEveryCall((point) =>
    withCompacted(async ({ store, all, compacted, finder }) => {
      const fail: BeforeCall = ({ name }) => {
        if (name !== "dispose") throw new CacheError("store_io", "the share failed");
      };
      const failing = intercept(withRotten(store, compacted), point.once(fail));
      const ended = await find(failing, finder).then(namesOf, (error: CacheError) => error.code);
      if (point.reached && point.reached.name !== "dispose") {
        assert.equal(ended, "store_io", point.reached.name);
      } else assert.deepEqual(ended, all);
    })
  );
  for (const name of ["generationNumbers", "readGeneration", "marks", "openLayer", "read"]) {
    assert.ok(calls.includes(name), name);
  }
});

test("whoever is told to stop does so within the layer that it verifies", () =>
  withHistory(async ({ store, names, pod }) => {
    await markBadLayer(store, key, names[0] ?? "");
    const controller = new AbortController();
    const reason = new CacheError("interrupted", "interrupted by SIGTERM");
    const finder = pod("stopped", {}, { signal: controller.signal });
    const stopping = intercept(store, ({ name }) => {
      if (name === "read") controller.abort(reason);
    });
    await assert.rejects(find(stopping, finder), reason);
  }));
