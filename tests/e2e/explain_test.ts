/** explain: why this pod got no cache, or one that nothing used. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { kernelFence } from "../kernel_fence.ts";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import {
  Fleet,
  operate,
  type Pod,
  reportOf,
  run,
  stamps,
  storeFiles,
  testTimeoutMs,
  withTorch,
  writeTree,
} from "./fleet.ts";

interface Explained {
  readonly status: string;
  readonly cause: string;
  readonly message: string;
  readonly key: string;
  readonly fence: string;
  readonly environment: { readonly torch: string | null };
  readonly caches: readonly {
    readonly key: string;
    readonly state: string;
    readonly generation: number | null;
    readonly roots: readonly string[];
    readonly problem: string | null;
    readonly differs: readonly unknown[] | null;
  }[];
  readonly vllm: readonly {
    readonly place: string;
    readonly newest: { readonly directory: string; readonly restored: boolean | null };
    readonly others: readonly {
      readonly directory: string;
      readonly restored: boolean | null;
      readonly differs: readonly unknown[];
    }[];
  }[];
  readonly advice: readonly string[];
}

/** What vLLM writes beside what it compiled. */
function writeFactors(pod: Pod, directory: string, env: Readonly<Record<string, unknown>>): string {
  const name = path.join("torch_compile_cache", directory, "rank_0_0", "backbone", "cache_key_factors.json");
  const file = path.join(pod.vllmDir, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, JSON.stringify({ code_hash: "1", compiler_hash: "2", config_hash: "3", env }));
  return file;
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`explain, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };
    const explained = async (pod: Pod) => await operate(target, pod, ["explain"]) as unknown as Explained;

    test("says that nothing was ever saved, and makes nothing", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      const before = stamps(fleet.base);
      const { status, cause, message, caches, fence } = await explained(one);
      assert.deepEqual([status, cause, caches], ["SUCCESS", "no_store", []]);
      assert.ok(message.includes(fleet.storeDir), message);
      assert.equal(fence, target.name === "deno" ? "deno-permissions" : kernelFence());
      assert.deepEqual(stamps(fleet.base), before);
    });

    test("names the facts that differ, the nearest cache first", options, async () => {
      using fleet = new Fleet();
      const old = withTorch(fleet.pod("old", { B10_CACHE_NAMESPACE: "chat" }), "2.11.0+cpu");
      const young = withTorch(fleet.pod("young"), "2.12.0+cpu");
      const here = withTorch(fleet.pod("here"), "2.13.0+cpu");
      for (const pod of [old, young]) {
        writeTree(pod.torchDir);
        assert.equal((await operate(target, pod, ["save"])).status, "SUCCESS");
      }
      assert.equal((await operate(target, here, ["load"])).status, "DOES_NOT_EXIST");
      const before = stamps(fleet.base);
      const { cause, message, environment, caches } = await explained(here);
      assert.deepEqual(stamps(fleet.base), before, "explain writes nothing");
      assert.equal(cause, "facts_differ");
      assert.equal(environment.torch, "2.13.0+cpu");
      assert.ok(message.includes('torch: "2.13.0+cpu" here, "2.12.0+cpu" there'), message);
      assert.deepEqual(caches.map(({ state, differs }) => [state, differs]), [
        ["loadable", [{ fact: "torch", here: "2.13.0+cpu", there: "2.12.0+cpu" }]],
        ["loadable", [
          { fact: "torch", here: "2.13.0+cpu", there: "2.11.0+cpu" },
          { fact: "namespace", here: "default", there: "another, or a pinned key" },
        ]],
      ]);
    });

    test("says that only the namespace or the key differs", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const chat = await explained(fleet.pod("two", { B10_CACHE_NAMESPACE: "chat" }));
      assert.equal(chat.cause, "key_differs");
      assert.ok(chat.message.includes('namespace: "chat" here, "default" there'), chat.message);
      const pinned = await explained(fleet.pod("two", { B10_CACHE_KEY: "mine" }));
      assert.deepEqual([pinned.cause, pinned.key], ["key_differs", "mine"]);
    });

    test("says of this pod's own cache that it is there, damaged, or not whole", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const whole = await explained(one);
      assert.deepEqual([whole.cause, whole.caches[0]?.roots], ["loadable", ["inductor"]]);
      const [layer = ""] = storeFiles(fleet, ".tar.zst");
      fs.truncateSync(layer, 10);
      const short = await explained(one);
      assert.equal(short.cause, "damaged");
      assert.match(short.message, / has 10 bytes instead of \d+$/);
      fs.rmSync(layer);
      assert.match((await explained(one)).message, / is not there$/);
      const [generation = ""] = storeFiles(fleet, "1.json");
      fs.truncateSync(generation, 10);
      const torn = await explained(one);
      assert.deepEqual([torn.cause, torn.caches[0]?.problem], ["damaged", "it has no valid generation"]);
      fs.rmSync(generation);
      assert.equal((await explained(one)).cause, "empty");
    });

    test("says of this pod's own cache that it was evicted", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const pruned = await operate(target, one, ["prune", "--max-total-size", "0MB"]);
      assert.equal(pruned.status, "SUCCESS", pruned.message);
      const { cause, caches } = await explained(one);
      assert.deepEqual([cause, caches[0]?.generation, caches[0]?.differs], ["evicted", 2, []]);
    });

    for (const flag of ["--vllm", "--all-roots"]) {
      test(
        `names the variable for which vLLM did not use what was restored with ${flag}`,
        options,
        async () => {
          using fleet = new Fleet();
          const [one, two] = [fleet.pod("one"), fleet.pod("two")];
          const file = writeFactors(one, "aaaaaaaaaa", {
            VLLM_TARGET_DEVICE: "cuda",
            VLLM_ATTENTION_BACKEND: null,
          });
          const past = Date.now() / 1000 - 60;
          fs.utimesSync(file, past, past);
          assert.equal((await operate(target, one, ["save", "--vllm"])).status, "SUCCESS");
          assert.equal((await operate(target, two, ["load", flag])).status, "SUCCESS");
          assert.equal((await explained(two)).cause, "loadable");
          writeFactors(two, "bbbbbbbbbb", { VLLM_TARGET_DEVICE: "cuda", VLLM_ATTENTION_BACKEND: "FLASH" });
          const { cause, message, vllm } = await explained(two);
          assert.equal(cause, "vllm_factors_differ");
          assert.ok(message.endsWith('env.VLLM_ATTENTION_BACKEND: "FLASH" here, null there'), message);
          assert.deepEqual(
            vllm.map(({ place, newest, others }) => [
              place,
              newest.directory,
              newest.restored,
              others.map(({ directory, restored, differs }) => [directory, restored, differs]),
            ]),
            [["rank_0_0/backbone", "bbbbbbbbbb", false, [["aaaaaaaaaa", true, [
              { factor: "env.VLLM_ATTENTION_BACKEND", here: '"FLASH"', there: "null" },
            ]]]]],
          );
        },
      );
    }

    test("says the same to people", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      writeFactors(one, "aaaaaaaaaa", { A: 1 });
      writeFactors(one, "bbbbbbbbbb", { A: 2 });
      const said = await run(target, one, ["explain", "--namespace", "chat"]);
      assert.equal(said.code, 0, said.stderr);
      assert.match(said.stdout, /^this pod: CPU, .*\n {2}key [0-9a-f]{64}, namespace "chat"$/m);
      assert.match(said.stdout, /^ {4}namespace: "chat" here, "default" there$/m);
      assert.match(said.stdout, /^vLLM, "rank_0_0\/backbone": "[ab]{10}", newer, of /m);
      assert.match(said.stdout, /^ {4}env\.A: [12] here, [12] there$/m);
      assert.match(said.stdout, /^what to do:\n {2}.*B10_CACHE_NAMESPACE/m);
      assert.match(
        said.stdout,
        /^explain SUCCESS: the one cache in the store was saved in this environment/m,
      );
    });

    test("says what this pod is where the store cannot be reached", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one", { B10FS_CACHE_DIR: path.join(fleet.base, "absent", "store") });
      const ended = await run(target, one, ["explain", "--json"]);
      const report = reportOf(ended);
      assert.deepEqual([ended.code, report.status, report.code], [1, "ERROR", "store_not_mounted"]);
      assert.match(String(report["key"]), /^[0-9a-f]{64}$/);
    });
  });
}
