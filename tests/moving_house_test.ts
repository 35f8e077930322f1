/** A cache that is restored to other directories than those it was made in. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { load } from "../lib/load.ts";
import { PodState } from "../lib/pod_state.ts";
import { isRelocatable } from "../lib/relocation.ts";
import { redacted } from "../lib/secrets.ts";
import { unpackFixture } from "./fixture.ts";
import { type Pod, readFiles, readStore, rootName, storeKinds, writeFiles } from "./pods.ts";
import { type Bench, headOf, saveTo, withBench } from "./workbench.ts";

const group = "triton/0/K/__grp__k.json";

/** A kernel's directory as Triton leaves it in the root `dir`. */
function kernel(dir: string, name = "K"): Record<string, string> {
  const children = { "k.cubin": `${dir}/triton/0/${name}/k.cubin`, elsewhere: "/usr/lib/x" };
  return {
    [`triton/0/${name}/k.cubin`]: `code of ${name}`,
    [`triton/0/${name}/__grp__k.json`]: JSON.stringify({ child_paths: children }),
  };
}

function podAt(bench: Bench, name: string, named?: string): Pod {
  const pod = bench.pod(name);
  return named === undefined ? pod : { ...pod, roots: [{ name: rootName, dir: pod.dir, path: named }] };
}

for (const kind of storeKinds) {
  test(`group files and vLLM's index get the paths of the pod, from a store ${kind.name}`, () =>
    withBench(async (bench) => {
      const one = podAt(bench, "one");
      writeFiles(one.dir, {
        ...kernel(one.dir),
        "a/vllm_compile_cache.py": `{(1, 0, 'inductor'): ('k', '${one.dir}/a/k')}`,
        "other.json": `"${one.dir}/other"`,
      });
      await saveTo(bench.store, one);
      const two = podAt(bench, "two");
      assert.equal((await load(two, bench.store)).status, "SUCCESS");
      assert.deepEqual(readFiles(two.dir), {
        ...kernel(two.dir),
        "a/vllm_compile_cache.py": `{(1, 0, 'inductor'): ('k', '${two.dir}/a/k')}`,
        // Nothing else is rewritten.
        "other.json": `"${one.dir}/other"`,
      });
      assert.equal((await load(two, bench.store)).status, "SKIPPED");
      assert.equal((await saveTo(bench.store, two)).status, "SKIPPED");
    }, kind));
}

test("what a pod elsewhere adds is stored with the paths that the cache was first saved with", () =>
  withBench(async (bench) => {
    const one = podAt(bench, "one");
    writeFiles(one.dir, kernel(one.dir));
    await saveTo(bench.store, one);
    const two = podAt(bench, "two");
    await load(two, bench.store);
    writeFiles(two.dir, kernel(two.dir, "L"));
    assert.equal((await saveTo(bench.store, two)).status, "SUCCESS");
    const { [`${rootName}/triton/0/L/__grp__k.json`]: stored } = await readStore(bench.store);
    assert.equal(stored, kernel(one.dir, "L")["triton/0/L/__grp__k.json"]);
    const three = podAt(bench, "three");
    await load(three, bench.store);
    assert.deepEqual(readFiles(three.dir), { ...kernel(three.dir), ...kernel(three.dir, "L") });
    assert.deepEqual((await headOf(bench.store)).manifest.roots, { [rootName]: { path: one.dir } });
  }));

test("a restored group file counts as untouched; rewritten by its program with other content, it is replaced", () =>
  withBench(async (bench) => {
    const one = podAt(bench, "one");
    writeFiles(one.dir, kernel(one.dir));
    await saveTo(bench.store, one);
    const plain = podAt(bench, "two");
    const stateDir = path.join(bench.base, "state");
    fs.mkdirSync(stateDir);
    const two = { ...plain, state: new PodState(plain.system, stateDir) };
    await load(two, bench.store);
    // The same again, as vLLM does: another inode, and nothing new.
    const own = kernel(two.dir)[group] ?? "";
    writeFiles(two.dir, { [group]: own });
    assert.equal((await saveTo(bench.store, two)).status, "SKIPPED");
    writeFiles(two.dir, { [group]: own.replace("elsewhere", "changed") });
    assert.equal((await saveTo(bench.store, two)).status, "SUCCESS");
    const { [`${rootName}/${group}`]: stored } = await readStore(bench.store);
    assert.equal(stored, (kernel(one.dir)[group] ?? "").replace("elsewhere", "changed"));
  }));

test("where a path cannot be written into a file, the directories that depend on it stay out, with a notice", () =>
  withBench(async (bench) => {
    const one = podAt(bench, "one");
    writeFiles(one.dir, { ...kernel(one.dir), plain: "plain" });
    await saveTo(bench.store, one);
    const two = podAt(bench, 'two "quoted"');
    assert.equal((await load(two, bench.store)).status, "SUCCESS");
    assert.deepEqual(readFiles(two.dir), { plain: "plain" });
    assert.equal(two.notices.length, 1);
    assert.match(two.notices[0] ?? "", /^2 files are left out, as they depend on paths and /);
    // Nor is anything saved from there that others could not use.
    writeFiles(two.dir, { ...kernel(two.dir, "L"), more: "more" });
    assert.equal((await saveTo(bench.store, two)).status, "SUCCESS");
    assert.deepEqual(Object.keys(await readStore(bench.store)).sort(), [
      `${rootName}/more`,
      `${rootName}/plain`,
      `${rootName}/triton/0/K/__grp__k.json`,
      `${rootName}/triton/0/K/k.cubin`,
    ]);
  }));

test("the real H100 cache moves: every group file leads to files that are there", () =>
  withBench(async (bench) => {
    const one = podAt(bench, "one", "/tmp/pod1");
    await unpackFixture(one.dir);
    await saveTo(bench.store, one);
    const two = podAt(bench, "two", "/home/user/.cache/torchinductor");
    await load(two, bench.store);
    const groups = fs.readdirSync(two.dir, { recursive: true, encoding: "utf8" }).filter(isRelocatable);
    assert.equal(groups.length, 79);
    for (const found of groups) {
      const { child_paths: paths } = JSON.parse(fs.readFileSync(path.join(two.dir, found), "utf8"));
      for (const child of Object.values<string>(paths)) {
        const below = child.replace("/home/user/.cache/torchinductor/", "");
        assert.notEqual(below, child);
        assert.ok(fs.existsSync(path.join(two.dir, below)), child);
      }
    }
  }));

test("a secret that vLLM has written among its factors stays on the pod", () =>
  withBench(async (bench) => {
    const factors = "torch_compile_cache/0123456789/rank_0_0/backbone/cache_key_factors.json";
    const one = podAt(bench, "one");
    writeFiles(one.dir, { [factors]: JSON.stringify({ env: { VLLM_API_KEY: "sk-very-secret" } }) });
    await saveTo(bench.store, one);
    const { [`${rootName}/${factors}`]: stored = "" } = await readStore(bench.store);
    assert.deepEqual(JSON.parse(stored), { env: { VLLM_API_KEY: redacted("sk-very-secret") } });
    assert.equal((await saveTo(bench.store, one)).status, "SKIPPED");
    assert.match(readFiles(one.dir)[factors] ?? "", /sk-very-secret/);
  }));
