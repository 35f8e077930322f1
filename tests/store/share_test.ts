import assert from "node:assert/strict";
import * as path from "node:path";
import { test } from "node:test";
import type { Store } from "../../lib/store.ts";
import type { FileSystem } from "../../lib/system.ts";
import { intercept } from "../pods.ts";
import { cacheError, exampleKey as key, failure } from "./examples.ts";
import { Faults } from "./faults.ts";
import { Place, ways, type Wrap } from "./place.ts";

const bytes = new TextEncoder().encode("bytes");

/** What reads of a store: each tells what it found. */
const reads: readonly (readonly [name: string, read: (store: Store, layer: string) => Promise<unknown>])[] = [
  ["keys", (store) => store.keys()],
  ["generationNumbers", (store) => store.generationNumbers(key)],
  ["readGeneration", async (store) => Buffer.from(await store.readGeneration(key, 1) ?? []).toString()],
  ["generationMadeMs", (store) => store.generationMadeMs(key, 1)],
  ["layers", (store) => store.layers(key)],
  ["openLayer", async (store, layer) => {
    await using file = await store.openLayer(key, layer);
    return Buffer.from(await file?.read(0, bytes.length) ?? []).toString();
  }],
  ["marks", async (store) => (await store.marks(key)).map((mark) => Buffer.from(mark.bytes).toString())],
  ["lastUseMs", (store) => store.lastUseMs(key)],
  ["look", (store) => store.leases.look({ kind: "save", number: 0 })],
];

async function withStore(act: (place: Place, wrap: Wrap, layer: string) => Promise<void>): Promise<void> {
  for (const { wrap } of ways) {
    using place = new Place();
    const store = await place.openOrCreate(wrap);
    await store.putGeneration(key, 1, bytes);
    await using upload = await store.beginLayer(key);
    await upload.write(bytes);
    const layer = await upload.publish();
    await store.putMark(key, bytes);
    await store.noteUse(key);
    await using lease = await store.leases.take({ kind: "save", number: 0 }, "holder");
    assert.ok(lease);
    await act(place, wrap, layer);
  }
}

/** The first `times` of these calls find a handle that another machine made stale. */
function staleAtFirst(times: number): { wrap: Wrap; count: () => number } {
  let made = 0;
  const guard = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => (...args: A): Promise<R> =>
    made++ < times ? Promise.reject(failure("ESTALE")) : call(...args);
  const wrap: Wrap = (over: FileSystem) => ({
    ...over,
    open: guard(over.open),
    stat: guard(over.stat),
    list: guard(over.list),
  });
  return { wrap, count: () => made };
}

test("a read that finds a stale handle is made again, twice at most", () =>
  withStore(async (place, wrap, layer) => {
    for (const [name, read] of reads) {
      const expected = await read(await place.opened(wrap), layer);
      for (const times of [1, 2]) {
        // It opens the store with a good share, and reads from one that goes stale.
        const stale = staleAtFirst(times);
        assert.deepEqual(await read(await reopened(place, wrap, stale.wrap), layer), expected, name);
        assert.ok(stale.count() > times, name);
      }
      const always = staleAtFirst(Infinity);
      await assert.rejects(
        async () => await read(await reopened(place, wrap, always.wrap), layer),
        cacheError("store_io", /ESTALE$/),
        name,
      );
      assert.equal(always.count(), 3, name);
    }
  }));

/** Opens the store as it is; what it does from then on goes through `later`. */
async function reopened(place: Place, wrap: Wrap, later: Wrap): Promise<Store> {
  let isOpen = false;
  const store = await place.opened((over) => {
    const before = wrap(over);
    const after = later(before);
    return new Proxy(before, {
      get: (_, name) => Reflect.get(isOpen ? after : before, name),
    });
  });
  isOpen = true;
  return store;
}

test("a format.json that is read short once is whole, and one that is short twice is torn", () =>
  withStore(async (place, wrap) => {
    const { id } = await place.opened(wrap);
    for (const [times, expected] of [[1, id], [2, undefined]] as const) {
      let reads = 0;
      const short: Wrap = (over) => ({
        ...wrap(over),
        open: async (file, mode) => {
          const opened = await wrap(over).open(file, mode);
          return {
            ...opened,
            read: (into, at) => reads++ < times ? Promise.resolve(0) : opened.read(into, at),
          };
        },
      });
      assert.equal((await place.open(short))?.id, expected);
    }
  }));

test("a layer that was read is as good where closing it fails", () =>
  withStore(async (place, wrap, layer) => {
    await using faults = new Faults();
    const store = await place.opened((over) => faults.over(wrap(over)));
    faults.fail("EIO", ["close"]);
    {
      await using file = await store.openLayer(key, layer);
      assert.deepEqual(Uint8Array.from(await file?.read(0, bytes.length) ?? []), bytes);
    }
    assert.equal(faults.openFiles, 0);
  }));

test("what writes is not made again: a step that failed may have had its effect", () =>
  withStore(async (place, wrap) => {
    let calls = 0;
    const stale: Wrap = (over) => ({
      ...wrap(over),
      rename: () => (calls++, Promise.reject(failure("ESTALE"))),
      link: () => (calls++, Promise.reject(failure("ESTALE"))),
    });
    const store = await reopened(place, wrap, stale);
    await assert.rejects(() => store.putGeneration(key, 2, bytes), cacheError("store_io", /ESTALE$/));
    assert.equal(calls, 1);
  }));

test("names that a listing has twice, or that are gone, are taken for what they are", () =>
  withStore(async (place, wrap, layer) => {
    const gone: readonly { name: string; kind: "file" }[] = [
      { name: layer.replace(/^.{64}/, "0".repeat(64)), kind: "file" },
      { name: `${"0".repeat(32)}.json`, kind: "file" },
    ];
    const doubled: Wrap = (over) => ({
      ...wrap(over),
      list: async (dir) => {
        const entries = await over.list(dir);
        return [...entries, ...(/\/(layers|marks)$/.test(dir) ? gone : []), ...entries];
      },
    });
    const [store, whole] = [await place.opened(doubled), await place.opened(wrap)];
    for (const [name, read] of reads) {
      assert.deepEqual(await read(store, layer), await read(whole, layer), name);
    }
  }));

test("any other failure of a read is said at once", () =>
  withStore(async (place, wrap) => {
    let calls = 0;
    const failing: Wrap = (over) => ({ ...over, open: () => (calls++, Promise.reject(failure("EIO"))) });
    const store = await reopened(place, wrap, failing);
    await assert.rejects(() => store.readGeneration(key, 1), cacheError("store_io", /EIO$/));
    assert.equal(calls, 1);
  }));

test("generations that were removed stay removed once that is said: their directory is flushed, after the last", () =>
  withStore(async (place, wrap) => {
    const calls: string[] = [];
    const recording: Wrap = (over) =>
      intercept(wrap(over), ({ name, args: [file] }) => {
        if (name === "rename" || name === "syncDirectory") {
          calls.push(`${name} ${path.basename(String(file))}`);
        }
      });
    const store = await place.opened(recording);
    await store.putGeneration(key, 2, bytes);
    calls.length = 0;
    await store.removeGenerations(key, [1, 2]);
    assert.deepEqual(calls, [
      "rename 0000000001.json",
      "rename 0000000002.json",
      "syncDirectory generations",
    ]);
  }));
