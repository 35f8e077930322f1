/** What every store promises, as tests. lib/store.ts says it in words. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { parseKey } from "../lib/key.ts";
import { maxGenerationNumber } from "../lib/manifest.ts";
import { type Store, useNoteIntervalMs } from "../lib/store.ts";
import type { FakeClock } from "./fake_clock.ts";
import { leaseContract } from "./lease_contract.ts";
import { cacheError } from "./store/examples.ts";

/** A new, empty store and what the tests need to know about it. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: Store;
  /** The clock that the store was given; a use that is noted is noted at its time, but for the first. */
  readonly clock: FakeClock;
  /** The same store, as another pod opens it. */
  open(): Promise<Store>;
  /** Whatever a reader of the store could stumble over: the names of unfinished files. */
  unfinished(): Promise<string[]>;
}

/** Declares one promise of a store as a test. */
export type DeclarePromise = (what: string, act: (made: StoreUnderTest) => Promise<void>) => void;

const key = parseKey("llama-8b", "key");
const otherKey = parseKey("llama-70b", "key");
const absentLayer = `${"a".repeat(64)}-${"b".repeat(32)}.tar.zst`;

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Publishes a layer with these contents, and gives its name. */
async function publish(store: Store, parts: readonly Uint8Array[], at = key): Promise<string> {
  await using upload = await store.beginLayer(at);
  for (const part of parts) await upload.write(part);
  return await upload.publish();
}

async function layerNames(store: Store): Promise<string[]> {
  return (await store.layers(key)).map(({ name }) => name);
}

async function readLayer(store: Store, name: string): Promise<Uint8Array> {
  await using layer = await store.openLayer(key, name);
  assert.ok(layer, `${name} is absent`);
  return await layer.read(0, layer.bytes);
}

/** Declares the tests of one implementation. */
export function storeContract(name: string, makeStore: () => Promise<StoreUnderTest>): void {
  const promise: DeclarePromise = (what, act) => {
    test(what, async () => {
      await using made = await makeStore();
      await act(made);
      assert.deepEqual(await made.unfinished(), []);
    });
  };

  describe(name, () => {
    promise("a new store is empty", async ({ store }) => {
      assert.deepEqual(await store.keys(), []);
      assert.deepEqual(await store.generationNumbers(key), []);
      assert.equal(await store.readGeneration(key, 1), undefined);
      assert.equal(await store.openLayer(key, absentLayer), undefined);
      assert.equal(await store.lastUseMs(key), undefined);
      assert.deepEqual(await store.layers(key), []);
      assert.deepEqual(await store.marks(key), []);
      assert.equal(await store.generationMadeMs(key, 1), undefined);
    });

    promise(
      "its id is 128 bits, another one for each store, and the same for all who open it",
      async (made) => {
        await using other = await makeStore();
        assert.match(made.store.id, /^[0-9a-f]{32}$/);
        assert.notEqual(other.store.id, made.store.id);
        assert.equal((await made.open()).id, made.store.id);
      },
    );

    promise("what is put is read back whole, by whoever opens the store", async ({ store, open }) => {
      const bytes = Uint8Array.from({ length: 200_000 }, (_, at) => at % 251);
      assert.equal(await store.putGeneration(key, 1, bytes), "put");
      for (const reader of [store, await open()]) {
        assert.deepEqual(Uint8Array.from(await reader.readGeneration(key, 1) ?? []), bytes);
        assert.deepEqual(await reader.generationNumbers(key), [1]);
      }
      assert.equal(await store.readGeneration(key, 2), undefined);
      assert.equal(await store.readGeneration(otherKey, 1), undefined);
    });

    promise(
      "what was put does not change with the memory it came from or is read into",
      async ({ store }) => {
        // A Buffer's slice() is no copy.
        const bytes = Buffer.from("first");
        await store.putGeneration(key, 1, bytes);
        await using upload = await store.beginLayer(key);
        await upload.write(bytes);
        bytes.fill(0);
        const layer = await upload.publish();
        for (let again = 0; again < 2; again++) {
          const reads = [
            await store.readGeneration(key, 1) ?? new Uint8Array(0),
            await readLayer(store, layer),
          ];
          for (const read of reads) {
            assert.deepEqual(Uint8Array.from(read), bytesOf("first"));
            read.fill(0);
          }
        }
      },
    );

    promise("a second put of one number is taken, and changes nothing", async ({ store, open }) => {
      assert.equal(await store.putGeneration(key, 3, bytesOf("first")), "put");
      for (const writer of [store, await open()]) {
        assert.equal(await writer.putGeneration(key, 3, bytesOf("second, and longer")), "taken");
        assert.equal(await writer.putGeneration(key, 3, bytesOf("first")), "taken");
        assert.deepEqual(Uint8Array.from(await writer.readGeneration(key, 3) ?? []), bytesOf("first"));
      }
      assert.deepEqual(await store.generationNumbers(key), [3]);
    });

    promise("numbers are taken each for itself, in every key", async ({ store }) => {
      assert.equal(await store.putGeneration(key, 1, bytesOf("a")), "put");
      assert.equal(await store.putGeneration(key, 2, bytesOf("b")), "put");
      assert.equal(await store.putGeneration(otherKey, 1, bytesOf("c")), "put");
      assert.deepEqual(Uint8Array.from(await store.readGeneration(otherKey, 1) ?? []), bytesOf("c"));
    });

    promise("of many puts of one number at once exactly one wins, and its bytes stay", async (made) => {
      const pods = [made.store, await made.open(), await made.open(), await made.open()];
      const puts = Array.from({ length: 16 }, async (_, at) => {
        const bytes = bytesOf(`put number ${at}`);
        return { bytes, outcome: await (pods[at % pods.length] ?? made.store).putGeneration(key, 1, bytes) };
      });
      const all = await Promise.all(puts);
      const winners = all.filter(({ outcome }) => outcome === "put");
      assert.equal(winners.length, 1);
      assert.equal(all.filter(({ outcome }) => outcome === "taken").length, all.length - 1);
      for (const pod of pods) {
        assert.deepEqual(Uint8Array.from(await pod.readGeneration(key, 1) ?? []), winners[0]?.bytes);
      }
    });

    promise("numbers are listed ascending, by value", async ({ store }) => {
      const numbers = [10, 9, 1, 100, maxGenerationNumber, 2];
      for (const n of numbers) await store.putGeneration(key, n, bytesOf(`${n}`));
      assert.deepEqual(await store.generationNumbers(key), [1, 2, 9, 10, 100, maxGenerationNumber]);
    });

    promise("keys are listed sorted, once something was put below them", async ({ store, open }) => {
      const keys = ["b", "a", "B", "f".repeat(64), "a.b-c_d"].map((text) => parseKey(text, "key"));
      for (const each of keys) await store.putGeneration(each, 1, bytesOf("x"));
      for (const reader of [store, await open()]) {
        assert.deepEqual(await reader.keys(), ["B", "a", "a.b-c_d", "b", "f".repeat(64)]);
      }
    });

    promise("a layer's name is the SHA-256 of its bytes and a nonce", async ({ store, open }) => {
      const parts = [bytesOf("one"), new Uint8Array(0), bytesOf("two"), new Uint8Array(100_000).fill(7)];
      const whole = Buffer.concat(parts);
      const layer = await publish(store, parts);
      const sha256 = createHash("sha256").update(whole).digest("hex");
      assert.match(layer, new RegExp(`^${sha256}-[0-9a-f]{32}\\.tar\\.zst$`));
      assert.deepEqual(Uint8Array.from(await readLayer(await open(), layer)), Uint8Array.from(whole));
      assert.deepEqual(await layerNames(store), [layer]);
    });

    promise("equal content uploaded twice gets two names", async ({ store }) => {
      const names = await Promise.all([publish(store, [bytesOf("x")]), publish(store, [bytesOf("x")])]);
      assert.notEqual(names[0], names[1]);
      assert.equal(names[0]?.slice(0, 64), names[1]?.slice(0, 64));
      for (const each of names) assert.deepEqual(Uint8Array.from(await readLayer(store, each)), bytesOf("x"));
      assert.deepEqual(await layerNames(store), names.toSorted());
    });

    promise("uploads at once do not mix", async ({ store }) => {
      await using first = await store.beginLayer(key);
      await using second = await store.beginLayer(key);
      for (let part = 0; part < 10; part++) {
        await Promise.all([first.write(bytesOf("a")), second.write(bytesOf("bb"))]);
      }
      const names = await Promise.all([first.publish(), second.publish()]);
      assert.deepEqual(Uint8Array.from(await readLayer(store, names[0])), bytesOf("a".repeat(10)));
      assert.deepEqual(Uint8Array.from(await readLayer(store, names[1])), bytesOf("b".repeat(20)));
    });

    promise("an upload that is not published leaves nothing once it is disposed of", async (made) => {
      {
        await using upload = await made.store.beginLayer(key);
        await upload.write(bytesOf("unfinished"));
        assert.deepEqual(await made.store.layers(key), []);
      }
      {
        await using _ = await made.store.beginLayer(key);
      }
      assert.deepEqual(await made.store.layers(key), []);
      assert.deepEqual(await made.store.generationNumbers(key), []);
      assert.deepEqual(await made.unfinished(), []);
    });

    promise("a layer stays when its upload is disposed of after publishing", async ({ store }) => {
      assert.deepEqual(
        Uint8Array.from(await readLayer(store, await publish(store, [bytesOf("x")]))),
        bytesOf("x"),
      );
    });

    promise("a layer is read from anywhere, and never beyond its end", async ({ store }) => {
      const bytes = Uint8Array.from({ length: 1000 }, (_, at) => at % 251);
      await using layer = await store.openLayer(key, await publish(store, [bytes]));
      assert.ok(layer);
      assert.equal(layer.bytes, 1000);
      for (const [offset, length] of [[0, 1000], [0, 0], [1, 998], [999, 1], [1000, 0]] as const) {
        assert.deepEqual(
          Uint8Array.from(await layer.read(offset, length)),
          bytes.subarray(offset, offset + length),
        );
      }
      const both = await Promise.all([layer.read(500, 100), layer.read(0, 100)]);
      assert.deepEqual(both.map((part) => Uint8Array.from(part)), [
        bytes.subarray(500, 600),
        bytes.subarray(0, 100),
      ]);
      for (const [offset, length] of [[0, 1001], [999, 2], [1000, 1], [5000, 10]] as const) {
        await assert.rejects(() => layer.read(offset, length), cacheError("bad_layer", /ends at byte/));
      }
    });

    promise("a layer belongs to its key alone", async ({ store }) => {
      const layer = await publish(store, [bytesOf("x")]);
      assert.equal(await store.openLayer(otherKey, layer), undefined);
    });

    promise("a use is noted once an hour at most, by the injected clock", async ({ store, clock, open }) => {
      await store.putGeneration(key, 1, bytesOf("x"));
      await store.noteUse(key);
      const firstMs = await store.lastUseMs(key);
      assert.ok(firstMs !== undefined);
      clock.setWallClock(firstMs + useNoteIntervalMs - 1);
      for (const pod of [store, await open()]) {
        await pod.noteUse(key);
        assert.equal(await pod.lastUseMs(key), firstMs);
      }
      clock.setWallClock(firstMs + useNoteIntervalMs);
      await store.noteUse(key);
      assert.equal(await store.lastUseMs(key), firstMs + useNoteIntervalMs);
      assert.equal(await store.lastUseMs(otherKey), undefined);
    });

    promise("generations that are removed are absent, and the others stay", async ({ store, open }) => {
      for (const n of [1, 2, 3, 10]) await store.putGeneration(key, n, bytesOf(`${n}`));
      await store.putGeneration(otherKey, 1, bytesOf("another key's"));
      // A number that is not there, or no longer, is as good.
      for (let again = 0; again < 2; again++) await store.removeGenerations(key, [1, 3, 99]);
      for (const reader of [store, await open()]) {
        assert.deepEqual(await reader.generationNumbers(key), [2, 10]);
        for (const n of [1, 3]) {
          assert.equal(await reader.readGeneration(key, n), undefined);
          assert.equal(await reader.generationMadeMs(key, n), undefined);
        }
        assert.deepEqual(Uint8Array.from(await reader.readGeneration(key, 2) ?? []), bytesOf("2"));
        assert.deepEqual(await reader.generationNumbers(otherKey), [1]);
      }
    });

    promise("nothing to remove is no failure, in a key that has nothing", async ({ store }) => {
      await store.removeGenerations(key, []);
      await store.putGeneration(key, 1, bytesOf("x"));
      await store.removeGenerations(key, []);
      await store.removeLayer(key, absentLayer);
      await store.removeMark(key, `${"c".repeat(32)}.json`);
      assert.deepEqual(await store.generationNumbers(key), [1]);
    });

    promise("things are as old as the store's own clock says", async ({ store, clock, open }) => {
      const times = [1_000, 2_000, 7_000].map((ms) => clock.nowMs() + ms);
      for (const [at, ms] of times.entries()) {
        clock.setWallClock(ms);
        await store.putGeneration(key, at + 1, bytesOf("x"));
        await publish(store, [bytesOf("x")]);
        await store.putMark(key, bytesOf("{}"));
      }
      const reader = await open();
      for (const [at, ms] of times.entries()) {
        assert.equal(await reader.generationMadeMs(key, at + 1), ms);
        assert.equal((await reader.layers(key)).filter(({ madeMs }) => madeMs === ms).length, 1);
        assert.equal((await reader.marks(key)).filter(({ madeMs }) => madeMs === ms).length, 1);
      }
    });

    promise(
      "the store's time is no earlier than what was made before, and asking leaves nothing",
      async (made) => {
        const { store, clock } = made;
        clock.setWallClock(clock.nowMs() + 5_000);
        await store.putGeneration(key, 1, bytesOf("x"));
        assert.ok(await store.nowMs(key) >= (await store.generationMadeMs(key, 1) ?? Infinity));
        clock.setWallClock(clock.nowMs() + 60_000);
        for (const pod of [store, await made.open()]) assert.equal(await pod.nowMs(key), clock.nowMs());
        assert.equal(await store.nowMs(otherKey), clock.nowMs());
        assert.deepEqual(await made.unfinished(), []);
        assert.deepEqual(await store.layers(key), []);
        assert.deepEqual(await store.marks(key), []);
      },
    );

    promise(
      "layers are listed sorted, with their sizes, once they are published",
      async ({ store, open }) => {
        await using unfinished = await store.beginLayer(key);
        await unfinished.write(bytesOf("not yet"));
        const names = [
          await publish(store, [bytesOf("a")]),
          await publish(store, [new Uint8Array(70_000), bytesOf("b")]),
          await publish(store, []),
        ];
        const sizes = new Map([[names[0], 1], [names[1], 70_001], [names[2], 0]]);
        for (const reader of [store, await open()]) {
          const listed = await reader.layers(key);
          assert.deepEqual(listed.map(({ name }) => name), names.toSorted());
          for (const { name, bytes } of listed) assert.equal(bytes, sizes.get(name));
        }
        assert.deepEqual(await store.layers(otherKey), []);
        const last = await unfinished.publish();
        assert.ok((await layerNames(store)).includes(last));
      },
    );

    promise("a layer that is removed is absent, and the others stay", async ({ store, open }) => {
      const [kept, gone] = [await publish(store, [bytesOf("kept")]), await publish(store, [bytesOf("gone")])];
      // One that is not there any more is as good.
      for (const pod of [store, await open()]) await pod.removeLayer(key, gone);
      for (const reader of [store, await open()]) {
        assert.deepEqual(await layerNames(reader), [kept]);
        assert.equal(await reader.openLayer(key, gone), undefined);
        assert.deepEqual(Uint8Array.from(await readLayer(reader, kept)), bytesOf("kept"));
      }
    });

    promise("each mark has a name of its own, and its bytes as they were put", async ({ store, open }) => {
      const texts = ["{}\n", "{}\n", "", "not JSON at all \0\xff"];
      for (const text of texts) {
        const bytes = Buffer.from(text, "latin1");
        await store.putMark(key, bytes);
        bytes.fill(0);
      }
      const pod = await open();
      for (const reader of [store, pod]) {
        const marks = await reader.marks(key);
        assert.equal(new Set(marks.map(({ name }) => name)).size, texts.length);
        const read = marks.map(({ bytes }) => Buffer.from(bytes).toString("latin1"));
        assert.deepEqual(read.toSorted(), texts.toSorted());
      }
      assert.deepEqual(await store.marks(otherKey), []);
    });

    promise("a mark is removed by its name, and the others stay", async ({ store, open }) => {
      for (const text of ["a", "b", "c"]) await store.putMark(key, bytesOf(text));
      const marks = await store.marks(key);
      const [first, ...others] = marks;
      assert.ok(first);
      for (const pod of [store, await open()]) await pod.removeMark(key, first.name);
      for (const reader of [store, await open()]) {
        const left = (await reader.marks(key)).map(({ name }) => name);
        assert.deepEqual(left.toSorted(), others.map(({ name }) => name).toSorted());
      }
    });

    promise("it says how much space is free", async ({ store }) => {
      assert.ok(await store.freeBytes() > 0);
    });

    leaseContract(promise);
  });
}
