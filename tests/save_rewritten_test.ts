/** Saves of files that were restored and rewritten since. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { openLayers } from "../lib/layers.ts";
import { load } from "../lib/load.ts";
import { PodState } from "../lib/pod_state.ts";
import { countPaths, key, type Pod, type PodOptions, rootName, storeKinds, writeFile } from "./pods.ts";
import {
  type Bench,
  countCalls,
  headOf,
  loaded,
  putChanged,
  saveLayers,
  saveTo,
  watchPuts,
  withBench,
} from "./workbench.ts";

/** A pod that knows what it restored. */
function stateful({ pod, world, base }: Bench, name: string, options: PodOptions = {}): Pod {
  const dir = path.join(base, `state of ${name}`);
  fs.mkdirSync(dir, { recursive: true });
  return pod(name, {}, { state: new PodState(world, dir), ...options });
}

let rewrites = 0;

function rewriteModel({ dir }: Pod, content: string): void {
  writeFile(path.join(dir, "model"), content, {
    mtimeNs: BigInt(Date.UTC(2019, 6, 1, 0, 0, ++rewrites)) * 1_000_000n,
  });
}

for (const kind of storeKinds) {
  test(`a model that was restored from a store ${kind.name} and rewritten is what the next pod loads`, () =>
    withBench(async (bench) => {
      const { store, pod } = bench;
      await saveLayers(bench, [{ model: "v1", other: "o" }]);
      const rewriter = stateful(bench, "rewriter");
      await load(rewriter, store);
      rewriteModel(rewriter, "version 2");
      const outcome = await saveTo(store, rewriter);
      assert.ok(outcome.status === "SUCCESS");
      assert.deepEqual([outcome.generation, outcome.totals.files, outcome.totals.bytes], [2, 1, 9]);
      assert.deepEqual(await loaded(bench), { model: "version 2", other: "o" });
      // It is saved: what this pod restored is no longer what the store has.
      assert.equal((await saveTo(store, rewriter)).status, "SKIPPED");
      rewriteModel(rewriter, "version 3");
      assert.equal((await saveTo(store, rewriter)).status, "SKIPPED");
      // A pod that restored nothing keeps what the store has, whatever its own bytes are.
      assert.equal((await saveTo(store, pod("own", { model: "its own" }))).status, "SKIPPED");
      assert.deepEqual(await loaded(bench), { model: "version 2", other: "o" });
    }, kind));
}

test("of pods that restored the same model and rewrote it, all at once, one wins", () =>
  withBench(async (bench) => {
    const { store } = bench;
    await saveLayers(bench, [{ model: "v1" }]);
    const names = ["p1", "p2", "p3", "p4"];
    const pods = names.map((name) => stateful(bench, name));
    for (const [at, pod] of pods.entries()) {
      await load(pod, store);
      rewriteModel(pod, names[at] ?? "");
    }
    const outcomes = await Promise.all(pods.map((pod) => saveTo(store, pod)));
    const winners = names.filter((_, at) => outcomes[at]?.status === "SUCCESS");
    assert.equal(winners.length, 1);
    assert.ok(outcomes.every(({ status }) => status === "SUCCESS" || status === "SKIPPED"));
    assert.deepEqual(await loaded(bench), { model: winners[0] });
    assert.deepEqual(await countPaths(store), { [`${rootName}/model`]: 2 });
  }));

test("a path is replaced three times at most, by whichever pods", () =>
  withBench(async (bench) => {
    const { store } = bench;
    await saveLayers(bench, [{ model: "v0" }]);
    const statuses: string[] = [];
    for (let round = 1; round <= 5; round++) {
      const pod = stateful(bench, `pod ${round}`);
      await load(pod, store);
      rewriteModel(pod, `v${round}`);
      statuses.push((await saveTo(store, pod)).status);
    }
    assert.deepEqual(statuses, ["SUCCESS", "SUCCESS", "SUCCESS", "SKIPPED", "SKIPPED"]);
    assert.deepEqual(await loaded(bench), { model: "v3" });
  }));

test("a rewritten model whose replacement loses its number to other files is committed as it is", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [{ model: "v1" }]);
    const rewriter = stateful(bench, "rewriter");
    await load(rewriter, bench.store);
    rewriteModel(rewriter, "v2");
    const { store, count } = countCalls(bench.store);
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt === 1) await saveTo(bench.store, bench.pod("winner", { w: "w" }));
    });
    assert.equal((await saveTo(racing, rewriter)).status, "SUCCESS");
    assert.equal(count("publish"), 1);
    assert.deepEqual(await loaded(bench), { model: "v2", w: "w" });
  }));

test("a model that was packed as a new path is packed anew where it has become a replacement", () =>
  withBench(async (bench) => {
    const { store } = bench;
    await saveLayers(bench, [{ model: "v1" }]);
    const rewriter = stateful(bench, "rewriter");
    await load(rewriter, store);
    rewriteModel(rewriter, "v2");
    await putChanged(store, () => ({ layers: [] }));
    const racing = watchPuts(store, async (_, attempt) => {
      if (attempt === 1) await saveTo(store, bench.pod("winner", { model: "v1" }));
    });
    assert.equal((await saveTo(racing, rewriter)).status, "SUCCESS");
    await using layers = await openLayers(store, key, (await headOf(store)).manifest);
    assert.equal(layers.plan.get(`${rootName}/model`)?.replacements, 1);
    assert.deepEqual(await loaded(bench), { model: "v2" });
  }));
