/** What becomes of a cache that a server died of: loads pass over it until a save has replaced it. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { pruneGraceMs } from "../lib/ages.ts";
import { load } from "../lib/load.ts";
import { contentId } from "../lib/manifest.ts";
import { putMark, readMarks } from "../lib/marks.ts";
import { PodState } from "../lib/pod_state.ts";
import type { SaveOutcome } from "../lib/operation.ts";
import { prune } from "../lib/prune.ts";
import { save } from "../lib/save.ts";
import { noteSuspect } from "../lib/suspects.ts";
import { withRotten } from "./damage.ts";
import { inDirectoryAtOnce, inMemory, key, type Pod, readFiles } from "./pods.ts";
import {
  type Bench,
  countCalls,
  type Files,
  headOf,
  layerNames,
  loaded,
  manifestOf,
  putChanged,
  saveLayers,
  saveTo,
  withBench,
} from "./workbench.ts";

const first: Files = { "a/x": "x", "a/y": "y" };
const second: Files = { "b/z": "z" };

/** Notes what the head restores as suspect. @returns its content ID. */
async function accuse({ store }: Pick<Bench, "store">): Promise<string> {
  const content = contentId((await headOf(store)).manifest);
  assert.equal(await noteSuspect({ store, key, state: undefined }, content), "store");
  return content;
}

/** Saves as a pod does that got ready without a suspect. */
function replacing({ store }: Pick<Bench, "store">, pod: Pod, replacedSuspect: string): Promise<SaveOutcome> {
  return save({ ...pod, replacedSuspect }, () => Promise.resolve(store));
}

async function suspectsIn({ store }: Pick<Bench, "store">): Promise<string[]> {
  return (await readMarks(store, key)).flatMap((mark) => mark.kind === "suspect" ? [mark.content] : []);
}

for (const kind of [inMemory, inDirectoryAtOnce]) {
  test(`a load says what it restored; once that is suspect in a store ${kind.name} it restores nothing of it`, () =>
    withBench(async (bench) => {
      await saveLayers(bench, [first, second]);
      const before = await load(bench.pod("before"), bench.store);
      assert.ok(before.status === "SUCCESS" && "about" in before);
      const content = await accuse(bench);
      assert.deepEqual(before.about, { content, coldStartS: null });
      const target = bench.pod("target");
      const outcome = await load(target, bench.store);
      assert.deepEqual(outcome, {
        status: "DOES_NOT_EXIST",
        reason: "generation 2 is suspect: after a restore of it a server died before it was ready; " +
          "it is not restored again until a newer one is saved",
        suspect: content,
      });
      assert.deepEqual(readFiles(target.dir), {});
    }, kind));
}

test("neither is an older generation restored in its place: what it has the suspect was made of", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second]);
    await accuse(bench);
    const { store, count } = countCalls(bench.store);
    assert.equal((await load(bench.pod("target"), store)).status, "DOES_NOT_EXIST");
    assert.equal(count("openLayer"), 0);
  }));

test("a load that falls back from a damaged generation to a suspect one restores nothing either", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const content = await accuse(bench);
    await saveLayers(bench, [second]);
    // The save of what is new is a newer cache, and its suspect mark was taken away: as a late accuser would note it.
    await noteSuspect({ store: bench.store, key, state: undefined }, content);
    const rotten = withRotten(bench.store, (await layerNames(bench.store)).at(-1) ?? "");
    const outcome = await load(bench.pod("target"), rotten);
    assert.equal(outcome.status, "DOES_NOT_EXIST");
    assert.equal("suspect" in outcome && outcome.suspect, content);
  }));

test("a suspect that only this pod knows of is passed over by this pod alone", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const dir = path.join(bench.base, "state");
    fs.mkdirSync(dir);
    const state = new PodState({ fs: bench.world.fs, random: bench.world.random }, dir);
    const content = contentId((await headOf(bench.store)).manifest);
    assert.equal(await noteSuspect({ store: undefined, key, state }, content), "pod");
    assert.equal((await load(bench.pod("accuser", {}, { state }), bench.store)).status, "DOES_NOT_EXIST");
    assert.equal((await load(bench.pod("other"), bench.store)).status, "SUCCESS");
    await saveLayers(bench, [second]);
    assert.equal((await load(bench.pod("accuser", {}, { state }), bench.store)).status, "SUCCESS");
  }));

test("a generation of the same layers is as suspect, whoever made it", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first, second]);
    const content = await accuse(bench);
    await putChanged(bench.store, () => ({}));
    const outcome = await load(bench.pod("target"), bench.store);
    assert.deepEqual(["suspect" in outcome && outcome.suspect, outcome.status], [content, "DOES_NOT_EXIST"]);
    assert.ok("reason" in outcome && outcome.reason.startsWith("generation 3 is suspect"));
  }));

test("another pod's save of something new is a newer cache: the suspect is one no more, and its mark goes", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    await accuse(bench);
    await saveLayers(bench, [second]);
    assert.deepEqual(await suspectsIn(bench), []);
    assert.deepEqual(await loaded(bench), { ...first, ...second });
  }));

test("a save that has nothing new leaves it suspect", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const content = await accuse(bench);
    assert.equal((await saveTo(bench.store, bench.pod("saver", first))).status, "SKIPPED");
    assert.deepEqual(await suspectsIn(bench), [content]);
  }));

for (const kind of [inMemory, inDirectoryAtOnce]) {
  test(`a pod that got ready without the suspect replaces all of it, in a store ${kind.name}, also what it has itself`, () =>
    withBench(async (bench) => {
      await saveLayers(bench, [first, second]);
      const content = await accuse(bench);
      const names = await layerNames(bench.store);
      const saver = bench.pod("saver", { "a/x": "x, compiled anew", "c": "c" });
      const outcome = await replacing(bench, saver, content);
      assert.ok(outcome.status === "SUCCESS");
      assert.deepEqual([outcome.generation, outcome.totals.files], [3, 2]);
      assert.deepEqual(await loaded(bench), { "a/x": "x, compiled anew", "c": "c" });
      assert.ok((await layerNames(bench.store)).every((name) => !names.includes(name)));
      assert.deepEqual(await suspectsIn(bench), []);
      assert.deepEqual(saver.notices, []);
      assert.equal((await replacing(bench, saver, content)).status, "SKIPPED");
    }, kind));
}

test("also a pod that has exactly what the suspect had: it is made anew, and no longer suspect", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const content = await accuse(bench);
    const outcome = await replacing(bench, bench.pod("saver", first), content);
    assert.equal(outcome.status, "SUCCESS");
    assert.notEqual(contentId((await headOf(bench.store)).manifest), content);
    assert.deepEqual(await suspectsIn(bench), []);
    assert.deepEqual(await loaded(bench), first);
  }));

test("where another pod has replaced it meanwhile, a save adds what is new, and takes nothing away", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const content = await accuse(bench);
    const pods = ["p1", "p2", "p3"].map((name) => bench.pod(name, { common: "c", [name]: name }));
    const outcomes = await Promise.all(pods.map((pod) => replacing(bench, pod, content)));
    assert.ok(outcomes.every(({ status }) => status === "SUCCESS"));
    assert.deepEqual(await loaded(bench), { common: "c", p1: "p1", p2: "p2", p3: "p3" });
  }));

test("a save that replaces a suspect which is the head's no more is a save as any other", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const content = contentId((await headOf(bench.store)).manifest);
    await saveLayers(bench, [second]);
    assert.equal((await replacing(bench, bench.pod("saver", { c: "c" }), content)).status, "SUCCESS");
    assert.deepEqual(await loaded(bench), { ...first, ...second, c: "c" });
  }));

test("a suspect whose layers are gone or damaged is replaced without being opened", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const content = await accuse(bench);
    for (const name of await layerNames(bench.store)) await bench.store.removeLayer(key, name);
    assert.equal((await replacing(bench, bench.pod("saver", first), content)).status, "SUCCESS");
    assert.deepEqual(await loaded(bench), first);
  }));

/** Prunes, twice as long apart as a prune waits. */
async function pruneTwice({ world, store, pod }: Bench): Promise<void> {
  const pruner = pod("pruner");
  const work = { ...pruner, store, policy: { keepLast: 2 }, dryRun: false };
  await prune(work);
  await world.clock.sleep(2 * pruneGraceMs(pruner.config));
  await prune(work);
}

/** A layer that nobody names: a prune condemns it by a generation of its own. */
async function publishOrphan({ store }: Bench): Promise<void> {
  await using upload = await store.beginLayer(key);
  await upload.write(Buffer.from("nobody's"));
  await upload.publish();
}

test("a prune's generation of the same layers stays suspect, until a save replaces it", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [second]);
    const content = await accuse(bench);
    await publishOrphan(bench);
    const { n } = (await headOf(bench.store)).manifest;
    await pruneTwice(bench);
    assert.ok((await headOf(bench.store)).manifest.n > n, "the prune has made a generation");
    assert.deepEqual(await suspectsIn(bench), [content]);
    const outcome = await load(bench.pod("target"), bench.store);
    assert.equal("suspect" in outcome && outcome.suspect, content);
    assert.equal((await replacing(bench, bench.pod("again", second), content)).status, "SUCCESS");
    assert.deepEqual(await loaded(bench), second);
    assert.deepEqual(await suspectsIn(bench), []);
  }));

test("a prune forgets a suspect of which no generation is left, and no other", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [first]);
    const content = await accuse(bench);
    await putMark(bench.store, key, { kind: "suspect", content: "c0".repeat(32) });
    await pruneTwice(bench);
    assert.deepEqual(await suspectsIn(bench), [content]);
  }));

test("what restores the same has the same content ID, whatever else its generation says", () =>
  withBench(async ({ store, pod }) => {
    await saveLayers({ store, pod }, [first, second]);
    const manifest = await manifestOf(store, 2);
    const content = contentId(manifest);
    assert.match(content, /^[0-9a-f]{64}$/);
    assert.equal(contentId({ ...manifest, layers: manifest.layers.map((layer) => ({ ...layer })) }), content);
    const others = [
      manifest.layers.toReversed(),
      manifest.layers.slice(1),
      manifest.layers.slice(0, 1),
      [],
      [...manifest.layers, ...manifest.layers],
    ];
    const ids = new Set([content, ...others.map((layers) => contentId({ layers }))]);
    assert.equal(ids.size, others.length + 1);
  }));

/** Saves as a start does that took so long without a cache. */
function saveTimed({ store }: Pick<Bench, "store">, pod: Pod, coldStartS?: number): Promise<SaveOutcome> {
  return save({ ...pod, ...(coldStartS === undefined ? {} : { coldStartS }) }, () => Promise.resolve(store));
}

/** What a load says of it. */
async function coldStartOf({ store, pod }: Pick<Bench, "store" | "pod">): Promise<number | null> {
  const target = pod("timed target");
  const outcome = await load(target, store);
  const again = await load(target, store);
  fs.rmSync(target.dir, { recursive: true });
  assert.ok("about" in outcome && "about" in again);
  assert.deepEqual([again.status, again.about], ["SKIPPED", outcome.about]);
  return outcome.about.coldStartS;
}

test("how long the cold start took is kept with the first save that knows it, and never changed", () =>
  withBench(async (bench) => {
    const timed = async (name: string, coldStartS?: number) => {
      const files = { [name]: name };
      assert.equal((await saveTimed(bench, bench.pod(name, files), coldStartS)).status, "SUCCESS");
      return await coldStartOf(bench);
    };
    assert.equal(await timed("a"), null);
    assert.equal(await timed("b", 55.3), 55.3);
    assert.equal(await timed("c"), 55.3);
    assert.equal(await timed("d", 7), 55.3);
    assert.equal((await manifestOf(bench.store, 2)).cold_start, 55.3);
    await pruneTwice(bench);
    assert.equal(await coldStartOf(bench), 55.3);
  }));

test("a compaction keeps how long the cold start took", () =>
  withBench(async (bench) => {
    await saveTimed(bench, bench.pod("first", first), 55.3);
    const config = { compactAfterLayers: 2 };
    for (const name of ["b", "c", "d"]) {
      await saveTo(bench.store, bench.pod(name, { [name]: name }, { config }));
    }
    assert.ok((await headOf(bench.store)).manifest.layers.length < 4, "it was compacted");
    assert.equal(await coldStartOf(bench), 55.3);
  }));
