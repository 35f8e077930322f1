import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { SourceFile } from "../lib/archive.ts";
import { CacheError } from "../lib/errors.ts";
import { openLayers } from "../lib/layers.ts";
import type { Layer, Manifest } from "../lib/manifest.ts";
import { memoryStore } from "../lib/store/memory.ts";
import type { Store } from "../lib/store.ts";
import { realRandom } from "../lib/system/clock.ts";
import { pack, sourceFile } from "./archive/examples.ts";
import { FakeClock } from "./fake_clock.ts";
import { cacheError, exampleKey as key, exampleLayerName, exampleManifest } from "./store/examples.ts";

/** A store that counts the layers that were opened and not closed. */
function countingStore(): { store: Store; open: () => number } {
  const store = memoryStore({ random: realRandom, clock: new FakeClock() });
  let open = 0;
  const openLayer: Store["openLayer"] = async (key, name) => {
    const file = await store.openLayer(key, name);
    if (!file) return undefined;
    open++;
    return {
      ...file,
      [Symbol.asyncDispose]: () => {
        open--;
        return file[Symbol.asyncDispose]();
      },
    };
  };
  return { store: { ...store, openLayer }, open: () => open };
}

/** A store that tells whose frames are read, and what is closed meanwhile. */
function frameReadingStore() {
  const store = memoryStore({ random: realRandom, clock: new FakeClock() });
  const frameReads: string[] = [];
  const closedWhileRead: string[] = [];
  const openLayer: Store["openLayer"] = async (key, name) => {
    const file = await store.openLayer(key, name);
    if (!file) return undefined;
    let reading = 0;
    return {
      ...file,
      read: async (offset, length) => {
        // These layers have one frame, at their beginning, and their index.
        if (offset === 0) frameReads.push(name);
        reading++;
        await setImmediate();
        reading--;
        return await file.read(offset, length);
      },
      [Symbol.asyncDispose]: () => {
        if (reading > 0) closedWhileRead.push(name);
        return file[Symbol.asyncDispose]();
      },
    };
  };
  return { store: { ...store, openLayer }, frameReads, closedWhileRead };
}

async function publish(store: Store, files: readonly SourceFile[]): Promise<Layer> {
  const { bytes, layer } = await pack(files);
  await using upload = await store.beginLayer(key);
  await upload.write(bytes);
  return { ...layer, name: await upload.publish() };
}

function manifestOf(...layers: Layer[]): Manifest {
  return exampleManifest({ layers, condemned: [] });
}

const older = [sourceFile("r/a", "old"), sourceFile("r/b", "kept")];
const newer = [sourceFile("r/a", "new"), sourceFile("r/c", "added")];

test("openLayers() opens every layer, in order, and plans what they hold together", async () => {
  const { store } = countingStore();
  const [first, second] = [await publish(store, older), await publish(store, newer)];
  await using layers = await openLayers(store, key, manifestOf(first, second));
  assert.deepEqual(layers.contents.map(({ layer }) => layer), [first, second]);
  assert.deepEqual(
    [...layers.plan.values()].map(({ path, layer }) => [path, layer]),
    [["r/a", second.name], ["r/b", first.name], ["r/c", second.name]],
  );
  assert.equal(layers.file(first.name).bytes, first.bytes);
  assert.equal(layers.file(second.name).bytes, second.bytes);
});

test("an evicted generation has no layers and plans nothing", async () => {
  await using layers = await openLayers(countingStore().store, key, manifestOf());
  assert.deepEqual([layers.contents, layers.plan.size], [[], 0]);
});

test("the layers are closed with what openLayers() gave", async () => {
  const { store, open } = countingStore();
  const first = await publish(store, older);
  {
    await using _ = await openLayers(store, key, manifestOf(first, await publish(store, newer)));
    assert.equal(open(), 2);
  }
  assert.equal(open(), 0);
});

test("file() gives no layer of another generation", async () => {
  const { store } = countingStore();
  await using layers = await openLayers(store, key, manifestOf(await publish(store, older)));
  const name = exampleLayerName("f");
  assert.throws(() => layers.file(name), cacheError("internal", new RegExp(`Layer ${name} is not open`)));
});

test("an absent layer is a bad one, and the others are closed", async () => {
  const { store, open } = countingStore();
  const [first, second] = [await publish(store, older), await publish(store, newer)];
  const name = exampleLayerName("f");
  for (const layers of [[first, { ...second, name }], [{ ...first, name }, second]]) {
    await assert.rejects(
      () => openLayers(store, key, manifestOf(...layers)),
      cacheError("bad_layer", new RegExp(`^Cannot use this cache as its layer ${name} is not in the store$`)),
    );
    assert.equal(open(), 0);
  }
});

test("a layer whose index is not what the generation says is a bad one, and all are closed", async () => {
  const { store, open } = countingStore();
  const [first, second] = [await publish(store, older), await publish(store, newer)];
  const wrongs: readonly (readonly [Layer, "bad_layer" | "bad_index"])[] = [
    [{ ...second, bytes: second.bytes - 1 }, "bad_layer"],
    [{ ...second, index: { ...second.index, sha256: "0".repeat(64) } }, "bad_layer"],
    [{ ...second, files: second.files + 1 }, "bad_index"],
    [{ ...second, raw_bytes: 0 }, "bad_index"],
  ];
  for (const [wrong, code] of wrongs) {
    await assert.rejects(() => openLayers(store, key, manifestOf(first, wrong)), cacheError(code));
    assert.equal(open(), 0);
  }
});

test("layers that cannot be restored together are refused, and closed", async () => {
  const { store, open } = countingStore();
  const first = await publish(store, older);
  const below = await publish(store, [sourceFile("r/a/below", "x")]);
  await assert.rejects(
    () => openLayers(store, key, manifestOf(first, below)),
    cacheError("bad_index", /"r\/a" is a file in it, and "r\/a\/below" lies below that$/),
  );
  assert.equal(open(), 0);
});

test("a share that fails while a layer is opened is no bad layer", async () => {
  const { store, open } = countingStore();
  const [first, second] = [await publish(store, older), await publish(store, newer)];
  const failing: Store = {
    ...store,
    openLayer: (key, name) =>
      name === second.name ? Promise.reject(new CacheError("store_io", "EIO")) : store.openLayer(key, name),
  };
  await assert.rejects(() => openLayers(failing, key, manifestOf(first, second)), cacheError("store_io"));
  assert.equal(open(), 0);
});

test("openLayers() begins the first layer's first frames, where it is asked to", async () => {
  const { store, frameReads } = frameReadingStore();
  const [first, second] = [await publish(store, older), await publish(store, newer)];
  for (const [framesAhead, expected] of [[0, []], [2, [first.name]]] as const) {
    frameReads.length = 0;
    await using layers = await openLayers(store, key, manifestOf(first, second), framesAhead);
    assert.deepEqual(frameReads, expected);
    assert.equal(layers.ahead !== undefined, framesAhead > 0);
    assert.ok(layers.ahead?.take(second.name, 0) === undefined);
  }
});

test("frames that were begun are waited for before a layer is closed, also where what it says cannot be", async () => {
  const { store, frameReads, closedWhileRead } = frameReadingStore();
  const [first, below] = [
    await publish(store, older),
    await publish(store, [sourceFile("r/a/below", "x")]),
  ];
  await assert.rejects(() => openLayers(store, key, manifestOf(first, below), 2), cacheError("bad_index"));
  await (await openLayers(store, key, manifestOf(first), 2))[Symbol.asyncDispose]();
  assert.deepEqual(frameReads, [first.name, first.name]);
  assert.deepEqual(closedWhileRead, []);
});
