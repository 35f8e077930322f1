import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { canonicalJson, type JsonValue } from "../lib/canonical_json.ts";
import type { RestoredFiles } from "../lib/restored_record.ts";
import { compareFactors, compareFactorsOf, type FactorsReport } from "../lib/vllm_factors.ts";
import { describeTree, realFiles, withDirectory, writeFile } from "./pods.ts";

const anyJson = fc.jsonValue().map((value): JsonValue => JSON.parse(JSON.stringify(value)));

/** As vLLM writes it, with a few of its 300 variables. */
const released = {
  code_hash: "c5f0d1c7f1a9a3d5d1f0a7a2b8a64df5e7f53ad5a9a9d3f6c2a0a5dd4b0d8a11",
  compiler_hash: "2d7f9d1a3e",
  config_hash: "8a1b2c3d4e",
  env: {
    CUDA_HOME: null,
    RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES: null,
    VLLM_ATTENTION_BACKEND: null,
    VLLM_MAIN_CUDA_VERSION: "12.9",
    VLLM_TARGET_DEVICE: "cuda",
    VLLM_USE_AOT_COMPILE: true,
    VLLM_PP_LAYER_PARTITION: null,
    VLLM_FUSED_MOE_CHUNK_SIZE: 16384,
    VLLM_LORA_RESOLVER_CACHE_DIR: null,
    VLLM_PLUGINS: ["a", "b"],
  },
};

const codeFile = (name: string, hash: string) => ({ path: `/app/vllm/${name}.py`, hash: hash.repeat(64) });

/** With the factors behind the digests, as some versions write it. */
const detailed = {
  ...released,
  code: [codeFile("attention", "1"), codeFile("linear", "2"), { path: "<string>" }],
  compiler: { factors: { torch: { version: "2.11.0" }, name: "inductor" } },
  config: { model_config: { dtype: "torch.bfloat16", max_model_len: 40960 }, parallel_config: { rank: 0 } },
};

function pathsOf(here: unknown, there: unknown): string[] {
  return compareFactors(here, there).differences.map((found) => found.path);
}

describe("compareFactors()", () => {
  test("finds nothing between equal factors, in whatever order they are written", () => {
    const turned = Object.fromEntries(Object.entries(detailed).reverse());
    assert.deepEqual(compareFactors(detailed, turned), { differences: [], more: 0 });
  });

  test("names the variable, before the digests that follow from what differs", () => {
    const here = {
      ...released,
      code_hash: "0",
      env: { ...released.env, VLLM_ATTENTION_BACKEND: "FLASH", VLLM_FUSED_MOE_CHUNK_SIZE: 1 },
    };
    assert.deepEqual(compareFactors(here, released).differences, [
      { path: "env.VLLM_ATTENTION_BACKEND", here: '"FLASH"', there: "null" },
      { path: "env.VLLM_FUSED_MOE_CHUNK_SIZE", here: "1", there: "16384" },
      { path: "code_hash", here: '"0"', there: `"${released.code_hash}"` },
    ]);
  });

  test("names a variable that only one side knows", () => {
    const { VLLM_TARGET_DEVICE: _, ...env } = released.env;
    assert.deepEqual(compareFactors({ ...released, env }, released).differences, [
      { path: "env.VLLM_TARGET_DEVICE", here: "absent", there: '"cuda"' },
    ]);
  });

  test("goes down into configuration, and tells files of code apart by their paths", () => {
    const here = {
      ...detailed,
      code: [codeFile("activation", "3"), ...detailed.code.slice(0, 1), codeFile("linear", "4")],
      config: { ...detailed.config, model_config: { dtype: "torch.float16", max_model_len: 40960 } },
    };
    assert.deepEqual(pathsOf(here, detailed), [
      "config.model_config.dtype",
      'code["/app/vllm/activation.py"]',
      'code["/app/vllm/linear.py"].hash',
      'code["<string>"]',
    ]);
    assert.deepEqual(pathsOf({ env: { LIST: ["a"] } }, { env: { LIST: ["b", "c"] } }), [
      "env.LIST[0]",
      "env.LIST[1]",
    ]);
  });

  test("names 20 at most, counts the others, and shortens values", () => {
    const env = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`V${at}`, "x".repeat(1_000)]));
    const { differences, more } = compareFactors({ env }, { env: {} });
    assert.deepEqual([differences.length, more], [20, 30]);
    assert.equal(differences[0]?.here.length, 201);
  });

  test("shows no secret: vLLM's own API key is one of its factors", () => {
    const { differences } = compareFactors(
      { env: { VLLM_API_KEY: "sk-here" }, extra: { nested: { HF_TOKEN: "hf-here" } } },
      { env: { VLLM_API_KEY: "sk-there" } },
    );
    assert.deepEqual(differences.map((found) => found.path), ["env.VLLM_API_KEY", "extra"]);
    assert.doesNotMatch(JSON.stringify(differences), /sk-|hf-/);
    const listed = compareFactors(
      { env: { api_key: ["sk-1", "sk-2"], auth: { user: "sk-3" }, URL: "http://sk-4@h/" } },
      { env: { api_key: ["sk-5"], auth: { user: "sk-6" }, URL: "http://h/" } },
    );
    assert.deepEqual(listed.differences, [
      { path: "env.api_key[0]", here: "a hidden value", there: "a hidden value" },
      { path: "env.api_key[1]", here: "a hidden value", there: "absent" },
      { path: "env.auth.user", here: "a hidden value", there: "a hidden value" },
      { path: "env.URL", here: '"http://…@h/"', there: '"http://h/"' },
    ]);
  });

  test("shows names and values on one line, with nothing unseen in them", () => {
    const { differences } = compareFactors({ "\u001b[2J\n": "\u202e\n" }, {});
    assert.deepEqual(differences, [{ path: '["\\u001b[2J\\n"]', here: '"\\u202e\\n"', there: "absent" }]);
  });

  test("compares what is nested deeper as a whole", () => {
    const nested = (depth: number, leaf: unknown): unknown =>
      depth === 0 ? leaf : { a: nested(depth - 1, leaf) };
    assert.deepEqual(pathsOf(nested(12, 1), nested(12, 2)), ["a.a.a.a.a.a.a.a"]);
    const bottomless = JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`);
    assert.doesNotThrow(() => compareFactors(bottomless, 1));
  });

  test("never throws, finds nothing between equals and something between others, whatever the JSON is", () => {
    fc.assert(fc.property(anyJson, anyJson, (a, b) => {
      assert.deepEqual(compareFactors(a, JSON.parse(JSON.stringify(a))), { differences: [], more: 0 });
      const { differences, more } = compareFactors(a, b);
      for (const { path: name, here, there } of differences) {
        assert.ok(name !== "" && here.length <= 201 && there.length <= 201);
      }
      assert.ok(differences.length <= 20 && more >= 0);
      assert.equal(differences.length > 0, canonicalJson(a) !== canonicalJson(b));
    }));
  });
});

const root = (dir: string) => ({ name: "vllm", dir });

const fileOf = (directory: string, place = "rank_0_0/backbone") =>
  `torch_compile_cache/${directory}/${place}/cache_key_factors.json`;

const [older, newer] = ["aaaaaaaaaa", "0123456789"];

function dayNs(day: number): bigint {
  return BigInt(Date.UTC(2020, 0, day)) * 1_000_000n;
}

/** Writes factors as they were made on a day of January 2020. */
function writeFactors(dir: string, name: string, day: number, content: unknown): void {
  const text = typeof content === "string" ? content : JSON.stringify(content, null, 2);
  writeFile(path.join(dir, name), text, { mtimeNs: dayNs(day) });
}

function compare(dir: string, restored: RestoredFiles = new Map()): Promise<FactorsReport[]> {
  return compareFactorsOf(realFiles, root(dir), restored);
}

const changed = { ...released, env: { ...released.env, VLLM_ATTENTION_BACKEND: "FLASH" } };

describe("compareFactorsOf()", () => {
  test("finds nothing where there is no cache, and nothing to compare where there is one directory", () =>
    withDirectory(async (dir) => {
      assert.deepEqual(await compare(path.join(dir, "absent")), []);
      assert.deepEqual(await compare(dir), []);
      writeFactors(dir, fileOf(older), 1, released);
      assert.deepEqual(await compare(dir), []);
    }));

  test("compares the newest with each other one of its rank and part, and reads only", () =>
    withDirectory(async (dir) => {
      writeFactors(dir, fileOf(older), 1, released);
      writeFactors(dir, fileOf(newer), 3, changed);
      writeFactors(dir, fileOf("bbbbbbbbbb"), 2, { ...changed, config_hash: "other" });
      writeFactors(dir, fileOf(older, "rank_1_0/eagle_head"), 1, released);
      writeFactors(
        dir,
        "torch_compile_cache/torch_aot_compile/rank_0_0/backbone/cache_key_factors.json",
        9,
        {},
      );
      const before = describeTree(dir);
      const reports = await compare(dir);
      assert.deepEqual(describeTree(dir), before);
      assert.deepEqual(reports.map(({ place }) => place), ["rank_0_0/backbone"]);
      const [report] = reports;
      assert.deepEqual(report?.newest, {
        directory: newer,
        madeAt: "2020-01-03T00:00:00.000Z",
        restored: null,
        problem: null,
      });
      assert.deepEqual(
        report?.others.map(({ directory, differences }) => [directory, differences.map((one) => one.path)]),
        [["bbbbbbbbbb", ["config_hash"]], [older, ["env.VLLM_ATTENTION_BACKEND"]]],
      );
    }));

  test("tells by the record which directory was restored and is as it was", () =>
    withDirectory(async (dir) => {
      for (const [name, day] of [[older, 1], ["bbbbbbbbbb", 2], [newer, 3]] as const) {
        writeFactors(dir, fileOf(name), day, { ...released, name });
      }
      const statOf = (name: string) => realFiles.lstatSync(path.join(dir, fileOf(name)));
      const record = (name: string, stat: object = {}) =>
        [`vllm/${fileOf(name)}`, { sha256: "0".repeat(64), stat: { ...statOf(name), ...stat } }] as const;
      const [report] = await compare(dir, new Map([record(older), record("bbbbbbbbbb", { ino: 1n })]));
      assert.deepEqual([report?.newest, ...report?.others ?? []].map((found) => found?.restored), [
        false,
        false,
        true,
      ]);
    }));

  test("says what cannot be compared, and goes on with the rest", () =>
    withDirectory(async (dir) => {
      writeFactors(dir, fileOf(newer), 9, changed);
      writeFactors(dir, fileOf("1111111111"), 4, "{ torn");
      writeFactors(dir, fileOf("2222222222"), 3, " ".repeat(4 * 1024 * 1024 + 1));
      writeFactors(dir, fileOf("3333333333"), 2, '"a string"');
      writeFactors(dir, fileOf(older), 1, released);
      fs.mkdirSync(path.join(dir, fileOf("4444444444")), { recursive: true });
      const [report] = await compare(dir);
      assert.deepEqual(
        report?.others.map(({ directory, problem, differences }) => [
          directory,
          problem?.split(":")[0] ?? null,
          differences.map((found) => found.path),
        ]),
        [
          ["1111111111", "it is not JSON", []],
          ["2222222222", "it has more than 4194304 bytes", []],
          ["3333333333", null, ["the file"]],
          [older, null, ["env.VLLM_ATTENTION_BACKEND"]],
        ],
      );
    }));

  test("compares the newest eight of many, and counts the others", () =>
    withDirectory(async (dir) => {
      for (let at = 1; at <= 12; at++) writeFactors(dir, fileOf(`00000000${at + 10}`), at, released);
      const [report] = await compare(dir);
      assert.deepEqual([report?.newest.directory, report?.others.length, report?.more], ["0000000022", 8, 3]);
    }));

  test("follows no symlink", () =>
    withDirectory(async (dir) => {
      const outside = path.join(dir, "outside");
      writeFactors(outside, fileOf(newer), 9, changed);
      const cache = path.join(dir, "cache");
      writeFactors(cache, fileOf(older), 1, released);
      fs.symlinkSync(
        path.join(outside, "torch_compile_cache", newer),
        path.join(cache, "torch_compile_cache", newer),
      );
      fs.mkdirSync(path.join(cache, path.dirname(fileOf("bbbbbbbbbb"))), { recursive: true });
      fs.symlinkSync(path.join(outside, fileOf(newer)), path.join(cache, fileOf("bbbbbbbbbb")));
      assert.deepEqual(await compare(cache), []);
    }));
});
