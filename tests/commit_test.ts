import assert from "node:assert/strict";
import { test } from "node:test";
import type { Base } from "../lib/base.ts";
import { mayBeNamed, putNext, storedBytes } from "../lib/commit.ts";
import type { Head } from "../lib/history.ts";
import { encodeGeneration, type Manifest, maxGenerationNumber } from "../lib/manifest.ts";
import type { Store } from "../lib/store.ts";
import { memoryStore } from "../lib/store/memory.ts";
import { countingRandom, QuickClock } from "./pods.ts";
import {
  cacheError,
  exampleKey as key,
  exampleLayer,
  exampleLayerName,
  exampleManifest,
} from "./store/examples.ts";
import { manifestAt } from "./workbench.ts";

const world = { random: countingRandom(), clock: new QuickClock() };

function newStore(): Store {
  return memoryStore(world);
}

/** A head that says this, and is number 7 with two burned numbers above it. */
function headOf(store: Store, says: Partial<Manifest> = {}): Head {
  const manifest = exampleManifest({ store_id: store.id, n: 7, ...says });
  return { generation: { manifest, sha256: encodeGeneration(manifest).sha256 }, next: 10 };
}

const layer = exampleLayer({ name: exampleLayerName("9") });

test("the next generation is the head's, but for its number, its parent and what is changed", async () => {
  const store = newStore();
  const head = headOf(store, { condemned: [exampleLayerName("e")], cold_start: 61.5 });
  assert.equal(await putNext(world, store, { key, head, next: { layers: [layer] } }), "put");
  const { nonce, created_at, written_by, ...rest } = await manifestAt(store, key, 10);
  const { nonce: _, created_at: __, written_by: ___, ...before } = head.generation?.manifest ?? assert.fail();
  assert.deepEqual(rest, {
    ...before,
    n: 10,
    parent: { n: 7, sha256: head.generation?.sha256 },
    layers: [layer],
  });
  assert.match(nonce, /^[0-9a-f]{32}$/);
  assert.equal(created_at, new Date(world.clock.nowMs()).toISOString());
  assert.match(written_by, /^b10-compile-cache \d/);
});

test("what a commit names is what it says: the environment anew, the condemned anew, a root's place as first saved", async () => {
  const store = newStore();
  const head = headOf(store, { roots: { inductor: { path: "/first" } } });
  const next = {
    layers: [],
    condemned: [],
    environment: { accelerator: "cpu" },
    roots: { inductor: { path: "/second" }, vllm: { path: "/vllm" } },
  };
  await putNext(world, store, { key, head, next });
  const { layers, condemned, environment, roots } = await manifestAt(store, key, 10);
  assert.deepEqual({ layers, condemned, environment, roots }, {
    ...next,
    roots: { inductor: { path: "/first" }, vllm: { path: "/vllm" } },
  });
});

test("a first generation has no parent, and nothing to carry on", async () => {
  const store = newStore();
  await putNext(world, store, { key, head: { generation: undefined, next: 1 }, next: { layers: [layer] } });
  const { parent, condemned, cold_start, environment, roots } = await manifestAt(store, key, 1);
  assert.deepEqual({ parent, condemned, cold_start, environment, roots }, {
    parent: null,
    condemned: [],
    cold_start: null,
    environment: {},
    roots: {},
  });
});

test("a number that is taken is said to be, and every attempt has a nonce of its own", async () => {
  const store = newStore();
  const put = () => putNext(world, store, { key, head: headOf(store), next: { layers: [] } });
  assert.equal(await put(), "put");
  const { nonce } = await manifestAt(store, key, 10);
  assert.equal(await put(), "taken");
  await store.removeGenerations(key, [10]);
  assert.equal(await put(), "put");
  assert.notEqual((await manifestAt(store, key, 10)).nonce, nonce);
});

test("the last number can be won, and after it there is none", async () => {
  const store = newStore();
  const put = (next: number) =>
    putNext(world, store, { key, head: { generation: undefined, next }, next: { layers: [] } });
  assert.equal(await put(maxGenerationNumber), "put");
  await assert.rejects(
    put(maxGenerationNumber + 1),
    cacheError("bad_manifest", /its last generation number, 9999999999, is taken; remove the directory/),
  );
});

test("a layer may be named while it is in the store and the head does not condemn it", async () => {
  const store = newStore();
  await using upload = await store.beginLayer(key);
  const name = await upload.publish();
  const onHead = (says: Partial<Manifest>): Base => ({
    head: headOf(store, says),
    layers: [],
    plan: new Map(),
    dropped: [],
  });
  const free = onHead({ condemned: [exampleLayerName("e")] });
  assert.equal(await mayBeNamed(store, key, { name, base: free }), true);
  assert.equal(await mayBeNamed(store, key, { name, base: onHead({ condemned: [name] }) }), false);
  assert.equal(await mayBeNamed(store, key, { name: exampleLayerName("9"), base: free }), false);
  const first = { ...free, head: { generation: undefined, next: 1 } };
  assert.equal(await mayBeNamed(store, key, { name, base: first }), true);
  await store.removeLayer(key, name);
  assert.equal(await mayBeNamed(store, key, { name, base: free }), false);
});

test("storedBytes() is the sum of what layers take", () => {
  assert.equal(storedBytes([]), 0);
  assert.equal(storedBytes([{ bytes: 3 }, { bytes: 0 }, { bytes: 1300 }]), 1303);
});
