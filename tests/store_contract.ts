/** What every store promises, as tests. lib/store.ts says it in words. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { type CacheKey, parseKey } from "../lib/key.ts";
import { maxGenerationNumber } from "../lib/manifest.ts";
import { type Store, useNoteIntervalMs } from "../lib/store.ts";
import type { FakeClock } from "./fake_clock.ts";
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
  /** The names of a key's published layers, where there is a way to list them. */
  readonly layers?: (key: CacheKey) => Promise<string[]>;
}

const key = parseKey("llama-8b", "key");
const otherKey = parseKey("llama-70b", "key");

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Publishes a layer with these contents, and gives its name. */
async function publish(store: Store, parts: readonly Uint8Array[], at = key): Promise<string> {
  await using upload = await store.beginLayer(at);
  for (const part of parts) await upload.write(part);
  return await upload.publish();
}

async function readLayer(store: Store, name: string): Promise<Uint8Array> {
  await using layer = await store.openLayer(key, name);
  assert.ok(layer, `${name} is absent`);
  return await layer.read(0, layer.bytes);
}

/** Declares the tests of one implementation. */
export function storeContract(name: string, makeStore: () => Promise<StoreUnderTest>): void {
  const promise = (what: string, act: (made: StoreUnderTest) => Promise<void>) => {
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
      assert.equal(await store.openLayer(key, `${"a".repeat(64)}-${"b".repeat(32)}.tar.zst`), undefined);
      assert.equal(await store.lastUseMs(key), undefined);
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

    promise("a layer's name is the SHA-256 of its bytes and a nonce", async ({ store, open, layers }) => {
      const parts = [bytesOf("one"), new Uint8Array(0), bytesOf("two"), new Uint8Array(100_000).fill(7)];
      const whole = Buffer.concat(parts);
      const layer = await publish(store, parts);
      const sha256 = createHash("sha256").update(whole).digest("hex");
      assert.match(layer, new RegExp(`^${sha256}-[0-9a-f]{32}\\.tar\\.zst$`));
      assert.deepEqual(Uint8Array.from(await readLayer(await open(), layer)), Uint8Array.from(whole));
      if (layers) assert.deepEqual(await layers(key), [layer]);
    });

    promise("equal content uploaded twice gets two names", async ({ store, layers }) => {
      const names = await Promise.all([publish(store, [bytesOf("x")]), publish(store, [bytesOf("x")])]);
      assert.notEqual(names[0], names[1]);
      assert.equal(names[0]?.slice(0, 64), names[1]?.slice(0, 64));
      for (const each of names) assert.deepEqual(Uint8Array.from(await readLayer(store, each)), bytesOf("x"));
      if (layers) assert.deepEqual((await layers(key)).sort(), names.sort());
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
        if (made.layers) assert.deepEqual(await made.layers(key), []);
      }
      {
        await using _ = await made.store.beginLayer(key);
      }
      if (made.layers) assert.deepEqual(await made.layers(key), []);
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

    promise("it says how much space is free", async ({ store }) => {
      assert.ok(await store.freeBytes() > 0);
    });
  });
}
