/** Histories where signatures are demanded: what counts for nothing, what is built on, what is removed. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { pruneGraceMs } from "../lib/ages.ts";
import { compact } from "../lib/compaction.ts";
import { exportCache } from "../lib/export.ts";
import { condemnedBy, findHead } from "../lib/history.ts";
import { importBundle } from "../lib/import.ts";
import { parseKey } from "../lib/key.ts";
import { load } from "../lib/load.ts";
import { contentId, encodeGeneration, type Generation, type Manifest } from "../lib/manifest.ts";
import { PodState } from "../lib/pod_state.ts";
import { prune } from "../lib/prune.ts";
import type { PrunePolicy } from "../lib/prune_policy.ts";
import {
  type KeyPair,
  keyPairOf,
  parsePrivateKey,
  parseTrustedKeys,
  type Signatures,
} from "../lib/signatures.ts";
import type { Store } from "../lib/store.ts";
import { memoryStore } from "../lib/store/memory.ts";
import type { Clock } from "../lib/system.ts";
import { verify } from "../lib/verify.ts";
import { only } from "./fake_system.ts";
import { inDirectoryAtOnce, key, readFiles, readStore, rootName, storeInMemory } from "./pods.ts";
import { cacheError } from "./store/examples.ts";
import { type Bench, type Files, headOf, saveTo, stored, withBench as withMemoryBench } from "./workbench.ts";

const ours = keyPairOf("41".repeat(32));
const next = keyPairOf("42".repeat(32));
const theirs = keyPairOf("43".repeat(32));

/** What a pod with this key does that trusts these. */
function keys(own: KeyPair | undefined, ...trusted: readonly KeyPair[]): Signatures {
  return {
    ...(own ? { signer: parsePrivateKey(own.privateFile) } : {}),
    ...(trusted.length > 0
      ? { trusted: parseTrustedKeys(trusted.map((one) => one.publicFile).join("")) }
      : {}),
  };
}

const signing = keys(ours, ours);

interface SignedBench extends Bench {
  /** The store as a pod sees it that demands our key, and signs with it. */
  readonly signed: Store;
  readonly as: (signatures: Signatures) => Store;
}

function withBench(act: (bench: SignedBench) => Promise<void>): Promise<void> {
  return withMemoryBench(
    async (bench) => {
      const as = (signatures: Signatures): Store => ({ ...bench.store, signatures });
      await act({ ...bench, as, signed: as(signing) });
    },
    { ...inDirectoryAtOnce, make: (world) => Promise.resolve(storeInMemory(world)) },
  );
}

let pods = 0;

/** A fresh pod saves these files. */
async function saveAs({ pod }: Bench, store: Store, files: Files) {
  const saver = pod(`saver ${++pods}`, files);
  return { outcome: await saveTo(store, saver), notices: saver.notices };
}

/** What a fresh pod gets, and what it is told. */
async function loadAs({ pod }: Bench, store: Store) {
  const target = pod(`target ${++pods}`);
  const outcome = await load(target, store);
  return {
    status: outcome.status,
    generation: "generation" in outcome ? outcome.generation : undefined,
    files: readFiles(target.dir),
    notices: target.notices,
  };
}

const first: Files = { "a/x": "x" };
const second: Files = { "b/y": "y" };
const evil: Files = { "c/evil": "evil" };

/** Puts a copy of a generation, changed and sealed anew, under `n`. */
async function put(store: Store, { manifest }: Generation, change: Partial<Manifest>, own?: KeyPair) {
  const changed = { ...manifest, ...change };
  const { bytes } = encodeGeneration(changed, own ? { signer: parsePrivateKey(own.privateFile) } : {});
  assert.equal(await store.putGeneration(key, changed.n, bytes), "put");
}

test("what is saved with a key is signed, and loads where that key is demanded and where none is", () =>
  withBench(async (bench) => {
    const { outcome } = await saveAs(bench, bench.signed, first);
    assert.equal(outcome.status, "SUCCESS");
    assert.deepEqual((await headOf(bench.signed)).signedBy, [ours.keyId]);
    for (
      const store of [bench.signed, bench.store, bench.as(keys(undefined, ours)), bench.as(keys(theirs))]
    ) {
      const loaded = await loadAs(bench, store);
      assert.deepEqual([loaded.status, loaded.files, loaded.notices], ["SUCCESS", first, []]);
    }
  }));

for (
  const [who, attack, problem] of [
    ["absent", (store, head) => put(store, head, { n: 2 }), "it is not signed"],
    [
      "another key's",
      (store, head) => put(store, head, { n: 2 }, theirs),
      /^it is signed by "[0-9a-f]{16}", which/,
    ],
    ["a tampered generation's", async (store, { manifest }) => {
      const bytes = await store.readGeneration(key, 1) ?? assert.fail();
      const [, seal = ""] = Buffer.from(bytes).toString().split("\n");
      const { sha256, bytes: changed } = encodeGeneration({ ...manifest, n: 2 });
      const [line = ""] = Buffer.from(changed).toString().split("\n");
      const resealed = JSON.stringify({ ...JSON.parse(seal), sha256 });
      await store.putGeneration(key, 2, Buffer.from(`${line}\n${resealed}\n`));
    }, /^its signature by key [0-9a-f]{16} is wrong$/],
  ] as readonly [string, (store: Store, head: Generation) => Promise<unknown>, string | RegExp][]
) {
  test(`a head with a signature that is ${who} is passed over with a notice, and the older one restored`, () =>
    withBench(async (bench) => {
      await saveAs(bench, bench.signed, first);
      await attack(bench.store, await headOf(bench.signed));
      const loaded = await loadAs(bench, bench.signed);
      assert.deepEqual([loaded.status, loaded.generation, loaded.files], ["SUCCESS", 1, first]);
      const [notice = "", ...others] = loaded.notices;
      assert.deepEqual(others, []);
      const told = "generation 2 is not trusted: ";
      assert.ok(notice.startsWith(told), notice);
      if (typeof problem === "string") assert.equal(notice.slice(told.length), problem);
      else assert.match(notice.slice(told.length), problem);
      const { generation, passedOver, next: n } = await findHead(bench.signed, key);
      assert.deepEqual([generation?.manifest.n, passedOver?.map((one) => one.n), n], [1, [2], 3]);
    }));
}

test("a signed generation that is replayed under another number, key or store is no generation there", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    await saveAs(bench, bench.signed, second);
    const bytes = await bench.store.readGeneration(key, 1) ?? assert.fail();
    await bench.store.putGeneration(key, 3, bytes);
    const loaded = await loadAs(bench, bench.signed);
    assert.deepEqual(loaded.files, { ...first, ...second });
    assert.deepEqual(loaded.notices, ["generation 3 is not valid: it says it is number 1"]);
    const another = storeInMemory({
      ...bench.world,
      random: { ...bench.world.random, hex: () => "f".repeat(32) },
    });
    await another.store.putGeneration(key, 1, bytes);
    await assert.rejects(
      () => loadAs(bench, { ...another.store, signatures: signing }),
      cacheError("bad_manifest", /it belongs to another store/),
    );
  }));

test("where nothing is trusted a load is an ERROR of its own, and nothing reaches the pod", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.store, evil);
    const target = bench.pod("target");
    await assert.rejects(
      () => load(target, bench.signed),
      cacheError("untrusted", /^Cannot use test-key .*; generation 1: it is not signed\. The next save/),
    );
    assert.deepEqual(readFiles(target.dir), {});
    await assert.rejects(() => exportOf(bench, bench.signed, "file"), cacheError("untrusted"));
  }));

test("a save builds on the newest trusted generation: nothing of an untrusted one is carried on", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    await saveAs(bench, bench.store, evil);
    const { outcome, notices } = await saveAs(bench, bench.signed, second);
    assert.ok(outcome.status === "SUCCESS");
    assert.equal(outcome.generation, 3);
    assert.deepEqual(notices, [
      "generation 2 is not trusted: it is not signed; the cache goes on from generation 1",
    ]);
    const head = await headOf(bench.signed);
    assert.equal(head.manifest.parent?.n, 1);
    assert.deepEqual(await readStore(bench.store), stored({ ...first, ...second }));
    // Everybody goes on from there.
    await saveAs(bench, bench.signed, { d: "d" });
    assert.equal((await headOf(bench.signed)).manifest.parent?.n, 3);
  }));

test("a save that finds nothing trusted starts over; one that has nothing new on the trusted one writes nothing", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.store, evil);
    const { notices } = await saveAs(bench, bench.signed, first);
    assert.deepEqual(notices, ["generation 1 is not trusted: it is not signed; the cache starts over"]);
    assert.deepEqual(await readStore(bench.store), stored(first));
    await saveAs(bench, bench.store, evil);
    const { outcome } = await saveAs(bench, bench.signed, first);
    assert.deepEqual([outcome.status, (await findHead(bench.store, key)).next], ["SKIPPED", 4]);
  }));

test("a layer that an untrusted generation condemns is not named by a trusted one", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    const { manifest } = await headOf(bench.signed);
    const condemned = manifest.layers.map(({ name }) => name);
    await put(bench.store, await headOf(bench.signed), { n: 2, layers: [], condemned });
    assert.deepEqual(condemnedBy(await findHead(bench.signed, key)), condemned);
    const { outcome } = await saveAs(bench, bench.signed, { ...first, ...second });
    assert.equal(outcome.status, "SUCCESS");
    const head = (await headOf(bench.signed)).manifest;
    assert.deepEqual(head.condemned, condemned);
    assert.ok(head.layers.every(({ name }) => !condemned.includes(name)));
    assert.deepEqual(await readStore(bench.signed), stored({ ...first, ...second }));
  }));

test("keys are rotated: both are trusted for a while, and then the new one alone", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    const between = keys(next, ours, next);
    assert.deepEqual((await loadAs(bench, bench.as(between))).files, first);
    await saveAs(bench, bench.as(between), second);
    assert.deepEqual((await headOf(bench.as(between))).signedBy, [next.keyId]);
    const after = bench.as(keys(next, next));
    assert.deepEqual((await loadAs(bench, after)).files, { ...first, ...second });
    // A pod that was not told yet goes on with what it knows.
    const late = await loadAs(bench, bench.signed);
    assert.deepEqual([late.generation, late.files], [1, first]);
  }));

test("a rotation carries on what the old key signed: of no use where that key has leaked", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    await saveAs(bench, bench.signed, evil);
    await saveAs(bench, bench.as(keys(next, ours, next)), second);
    assert.deepEqual((await loadAs(bench, bench.as(keys(undefined, next)))).files, {
      ...first,
      ...evil,
      ...second,
    });
  }));

test("after a leak a new key that is trusted alone, at once, starts the cache over, above all numbers that were seen", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    await saveAs(bench, bench.signed, evil);
    const state = stateIn(bench);
    await load(bench.pod("kept", {}, { state }), bench.signed);
    const anew = bench.as(keys(next, next));
    // Until the new key has signed, nothing is restored.
    await assert.rejects(() => loadAs(bench, anew), cacheError("untrusted"));
    await assert.rejects(() => load(bench.pod("seen", {}, { state }), anew), cacheError("rollback"));
    const { notices } = await saveAs(bench, anew, second);
    assert.match(notices[0] ?? "", /^generation 2 is not trusted: .*; the cache starts over$/);
    assert.deepEqual((await loadAs(bench, anew)).files, second);
    assert.equal((await load(bench.pod("seen after", {}, { state }), anew)).status, "SUCCESS");
    // What the leaked key signs from then on is passed over, and carried on by nobody.
    await saveAs(bench, bench.signed, { d: "evil too" });
    const loaded = await loadAs(bench, anew);
    assert.deepEqual([loaded.generation, loaded.files], [3, second]);
    await saveAs(bench, anew, { e: "e" });
    assert.deepEqual((await loadAs(bench, anew)).files, { ...second, e: "e" });
    const told = await verify({
      store: anew,
      keys: [key],
      signal: new AbortController().signal,
      progress: () => {},
    });
    assert.deepEqual(told.map((cache) => [cache.problems, cache.supersededUntrusted.length]), [[[], 3]]);
  }));

test("compaction signs as a save does", () =>
  withBench(async (bench) => {
    for (const files of [first, second, { d: "d" }]) await saveAs(bench, bench.signed, files);
    await compact(bench.pod("compactor", {}, { config: { compactAfterLayers: 2 } }), bench.signed);
    const head = await headOf(bench.signed);
    assert.deepEqual([head.manifest.layers.length, head.signedBy], [1, [ours.keyId]]);
  }));

test("a pod that demands signatures and has none to give commits nothing", () =>
  withBench(async (bench) => {
    const reader = bench.as(keys(undefined, ours));
    await assert.rejects(
      () => saveAs(bench, reader, first),
      cacheError("bad_setting", /B10_CACHE_SIGNING_KEY_FILE/),
    );
    assert.deepEqual(await bench.store.generationNumbers(key), []);
  }));

function stateIn(bench: Bench): PodState {
  const dir = path.join(bench.base, "state");
  fs.mkdirSync(dir, { recursive: true });
  return new PodState(bench.world, dir);
}

/** The store as it was before generation `n`. */
function rolledBackTo(store: Store, n: number): Store {
  return {
    ...store,
    generationNumbers: async (at) => (await store.generationNumbers(at)).filter((one) => one <= n),
    readGeneration: async (at, one) => one <= n ? await store.readGeneration(at, one) : undefined,
  };
}

test("a pod that has seen a newer signed generation notices a rollback: it restores nothing, and builds on nothing", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    await saveAs(bench, bench.signed, second);
    const state = stateIn(bench);
    await load(bench.pod("pod", {}, { state }), bench.signed);
    const message =
      /goes back to generation 1 and this pod has seen generation 2.*remove ".*signed-[0-9a-f]{32}\.json"$/;
    const target = bench.pod("again", {}, { state });
    await assert.rejects(() => load(target, rolledBackTo(bench.signed, 1)), cacheError("rollback", message));
    assert.deepEqual(readFiles(target.dir), {});
    const saver = bench.pod("saver", evil, { state });
    await assert.rejects(() => saveTo(rolledBackTo(bench.signed, 1), saver), cacheError("rollback", message));
    await assert.rejects(
      () => load(target, rolledBackTo(bench.signed, 0)),
      cacheError("rollback", /has no trusted generation any more/),
    );
    // A pod that has seen less cannot tell, and neither does one that demands nothing.
    assert.equal((await load(bench.pod("fresh"), rolledBackTo(bench.signed, 1))).status, "SUCCESS");
    assert.equal((await load(target, rolledBackTo(bench.store, 1))).status, "SUCCESS");
  }));

test("what a pod has saved it has seen; an eviction is no rollback, and neither is an untrusted generation on top", () =>
  withBench(async (bench) => {
    const state = stateIn(bench);
    await saveTo(bench.signed, bench.pod("saver", first, { state }));
    await assert.rejects(
      () => load(bench.pod("a", {}, { state }), rolledBackTo(bench.signed, 0)),
      cacheError("rollback"),
    );
    await saveAs(bench, bench.store, evil);
    assert.equal((await load(bench.pod("b", {}, { state }), bench.signed)).status, "SUCCESS");
    await put(bench.store, await headOf(bench.signed), { n: 3, layers: [], condemned: [] }, ours);
    const evicted = await load(bench.pod("c", {}, { state }), bench.signed);
    assert.equal(evicted.status, "DOES_NOT_EXIST");
  }));

/** Another store, whose signed caches are as good as ours. */
function otherStore(bench: SignedBench): Store {
  const random = { ...bench.world.random, hex: (bytes: number) => "e".repeat(2 * bytes) };
  return { ...memoryStore({ random, clock: bench.world.clock }), signatures: signing };
}

test("another store in the place of the one that a pod has seen is refused as a rollback is, whatever cache it is about", () =>
  withBench(async (bench) => {
    const staging = otherStore(bench);
    await saveAs(bench, staging, evil);
    await saveAs(bench, bench.signed, first);
    const state = stateIn(bench);
    const pod = (name: string, files: Files = {}, storeDir = "/cache/prod") =>
      bench.pod(name, files, { state, storeDir });
    await load(pod("before"), bench.signed);
    const replaced = cacheError(
      "rollback",
      new RegExp(
        `^Cannot use test-key in the store "/cache/prod" as this pod has seen signed caches of the store ${bench.store.id} ` +
          `there, and it is the store ${staging.id} now: .*remove ".*/signed-store-[0-9a-f]{32}\\.json"$`,
      ),
    );
    const target = pod("target");
    await assert.rejects(() => load(target, staging), replaced);
    assert.deepEqual(readFiles(target.dir), {});
    await assert.rejects(() => saveTo(staging, pod("saver", second)), replaced);
    assert.deepEqual(await staging.generationNumbers(key), [1]);
    const otherKey = { ...pod("other key"), key: parseKey("other-key", "key") };
    await assert.rejects(() => load(otherKey, staging), cacheError("rollback", /^Cannot use other-key /));
    // In another directory it may be what it is, and so it may for those who demand nothing.
    assert.equal((await load(pod("elsewhere", {}, "/cache/staging"), staging)).status, "SUCCESS");
    assert.equal((await load(pod("unsigned"), { ...staging, signatures: {} })).status, "SUCCESS");
    assert.equal((await load(pod("still"), bench.signed)).status, "SUCCESS");
    // It was meant: what the message says is done.
    fs.rmSync(state.placeOfStore("/cache/prod"));
    assert.equal((await load(target, staging)).status, "SUCCESS");
    await assert.rejects(() => load(pod("after"), bench.signed), cacheError("rollback"));
  }));

test("a store in which a pod has seen nothing that is trusted is not held to", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.store, evil);
    const state = stateIn(bench);
    await assert.rejects(() => load(bench.pod("pod", {}, { state }), bench.signed), cacheError("untrusted"));
    const made = otherStore(bench);
    assert.equal((await saveTo(made, bench.pod("saver", first, { state }))).status, "SUCCESS");
    // What a pod has saved it has seen.
    await assert.rejects(() => load(bench.pod("again", {}, { state }), bench.signed), cacheError("rollback"));
  }));

test("where the key of what was seen is not trusted any more, the rollback says so", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    const state = stateIn(bench);
    await load(bench.pod("pod", {}, { state }), bench.signed);
    const early = bench.as(keys(next, next));
    const why = new RegExp(
      `has no trusted generation any more .* generation 1, signed: it is there and is not trusted any more: it is ` +
        `signed by "${ours.keyId}", which B10_CACHE_TRUSTED_KEYS_FILE does not have\\. Either its key was taken off`,
    );
    await assert.rejects(() => load(bench.pod("early", {}, { state }), early), cacheError("rollback", why));
  }));

test("a listing that is older than what this pod has seen is no rollback: the load looks again", () =>
  withBench(async (bench) => {
    for (const files of [first, second, { d: "d" }, { e: "e" }]) await saveAs(bench, bench.signed, files);
    const state = stateIn(bench);
    await load(bench.pod("pod", {}, { state }), bench.signed);
    let lists = 0;
    const stale: Store = {
      ...bench.signed,
      // Numbers 2 and 3 are not seen either, as a network file system remembers that they were absent.
      generationNumbers: async (at) => ++lists === 1 ? [1] : await bench.signed.generationNumbers(at),
      readGeneration: (at, n) =>
        lists === 1 && (n === 2 || n === 3) ? Promise.resolve(undefined) : bench.signed.readGeneration(at, n),
    };
    const outcome = await load(bench.pod("again", {}, { state }), stale);
    assert.deepEqual([outcome.status, "generation" in outcome && outcome.generation], ["SUCCESS", 4]);
  }));

test("verify tells untrusted generations from damaged ones, and who signed the newest that counts", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.store, { z: "z" });
    await saveAs(bench, bench.signed, first);
    await saveAs(bench, bench.store, evil);
    const work = { keys: [key], signal: new AbortController().signal, progress: () => {} };
    const [demanded] = await verify({ ...work, store: bench.signed });
    assert.deepEqual(demanded?.problems, ["generation 3 is not trusted: it is not signed"]);
    assert.deepEqual(demanded?.supersededUntrusted, ["generation 1 is not trusted: it is not signed"]);
    assert.deepEqual(demanded?.supersededProblems, []);
    assert.deepEqual([demanded?.untrusted, demanded?.signedBy], [1, [ours.keyId]]);
    const [any] = await verify({ ...work, store: bench.store });
    assert.deepEqual([any?.problems, any?.untrusted, any?.signedBy], [[], undefined, undefined]);
  }));

async function exportOf(bench: SignedBench, store: Store, name: string): Promise<string> {
  const { system, signal, notice, progress } = bench.pod("exporter");
  const file = path.join(bench.base, name);
  const target = { path: file, format: "native", root: rootName, replace: false } as const;
  await exportCache({ system, signal, notice, progress, key }, store, target);
  return file;
}

test("an exported cache carries the exporter's signature, and an import demands a trusted one", () =>
  withBench(async (bench) => {
    await saveAs(bench, bench.signed, first);
    const files = {
      ours: await exportOf(bench, bench.signed, "ours"),
      unsigned: await exportOf(bench, bench.store, "unsigned"),
      theirs: await exportOf(bench, bench.as(keys(theirs)), "theirs"),
    };
    const other = storeInMemory({
      ...bench.world,
      random: { ...bench.world.random, hex: () => "e".repeat(32) },
    });
    const workDir = path.join(bench.base, "work");
    fs.mkdirSync(workDir);
    const importAs = (file: string, signatures: Signatures) =>
      importBundle(
        {
          ...bench.pod("importer"),
          openStore: () => Promise.resolve({ ...other.store, signatures }),
          workDir,
          trusted: signatures.trusted,
        },
        { path: file, name: path.basename(file) },
        () => key,
      );
    for (
      const [file, problem] of [[files.unsigned, /it is not signed/], [
        files.theirs,
        /it is signed by/,
      ]] as const
    ) {
      await assert.rejects(() => importAs(file, signing), cacheError("untrusted", problem));
    }
    assert.deepEqual(await other.store.generationNumbers(key), []);
    const tampered = fs.readFileSync(files.ours);
    const at = tampered.lastIndexOf('"cold_start":null');
    tampered.write('"cold_start":1234', at);
    fs.writeFileSync(`${files.ours}-tampered`, tampered);
    await assert.rejects(
      () => importAs(`${files.ours}-tampered`, signing),
      cacheError("bad_archive", /its seal/),
    );
    assert.equal((await importAs(files.ours, signing)).outcome.status, "SUCCESS");
    assert.deepEqual((await headOf({ ...other.store, signatures: signing })).signedBy, [ours.keyId]);
    assert.deepEqual(await readStore(other.store), stored(first));
  }));

const dayMs = 24 * 60 * 60 * 1000;

/** A store whose clock the test moves. */
function agingStore(bench: Bench) {
  const clock = { ms: Date.UTC(2026, 0, 1) };
  const store = memoryStore({
    random: bench.world.random,
    clock: only<Clock>("clock", { nowMs: () => clock.ms, sleep: () => Promise.resolve() }),
  });
  const pruneAs = async (signatures: Signatures, policy: PrunePolicy = { keepLast: 2 }) => {
    const pruner = bench.pod("pruner");
    for (let run = 0; run < 4; run++) {
      await prune({ ...pruner, store: { ...store, signatures }, policy, dryRun: false });
      clock.ms += pruneGraceMs(pruner.config) + dayMs;
    }
    return pruner.notices;
  };
  return { store, signed: { ...store, signatures: signing }, pruneAs };
}

test("a prune without a key leaves alone what is signed: readers pass over its unsigned head", () =>
  withBench(async (bench) => {
    const { store, signed, pruneAs } = agingStore(bench);
    await saveAs(bench, signed, first);
    for (const files of [evil, { d: "d" }, { e: "e" }]) await saveAs(bench, store, files);
    const before = await store.generationNumbers(key);
    const notices = await pruneAs({});
    assert.deepEqual(await store.generationNumbers(key), before);
    assert.match(
      notices[0] ?? "",
      /^test-key is left as it is: its generations are signed; set B10_CACHE_SIGNING/,
    );
    assert.deepEqual((await loadAs(bench, signed)).files, first);
    // Nor does it evict.
    await saveAs(bench, signed, second);
    const numbers = await store.generationNumbers(key);
    await pruneAs({}, { keepLast: 2, maxAgeMs: 1 });
    assert.deepEqual(await store.generationNumbers(key), numbers);
    assert.deepEqual((await loadAs(bench, signed)).files, { ...first, ...second });
  }));

test("a prune that demands signatures keeps what is trusted, signs its commits, and removes what is not trusted", () =>
  withBench(async (bench) => {
    const { store, signed, pruneAs } = agingStore(bench);
    await saveAs(bench, signed, first);
    await saveAs(bench, signed, second);
    for (const files of [evil, { d: "d" }, { e: "e" }]) await saveAs(bench, store, files);
    const trusted = (await headOf(signed)).manifest;
    await pruneAs(signing);
    const head = await headOf(signed);
    assert.equal(contentId(head.manifest), contentId(trusted));
    assert.deepEqual(head.signedBy, [ours.keyId]);
    assert.equal((await findHead(signed, key)).passedOver, undefined);
    assert.deepEqual((await loadAs(bench, signed)).files, { ...first, ...second });
    assert.deepEqual(
      (await store.layers(key)).map(({ name }) => name).sort(),
      trusted.layers.map(({ name }) => name).sort(),
      "the attacker's layers are gone",
    );
    await pruneAs(signing, { keepLast: 2, maxAgeMs: 1 });
    const evicted = await headOf(signed);
    assert.deepEqual([evicted.manifest.layers, evicted.signedBy], [[], [ours.keyId]]);
  }));

test("a prune that finds nothing trusted leaves the cache as it is", () =>
  withBench(async (bench) => {
    const { store, pruneAs } = agingStore(bench);
    await saveAs(bench, store, first);
    const notices = await pruneAs(signing);
    assert.match(notices[0] ?? "", /none of its generations is signed by a key that is trusted$/);
    assert.deepEqual(await readStore(store), stored(first));
  }));
