import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import type { Environment } from "../lib/environment.ts";
import { CacheError } from "../lib/errors.ts";
import { computeKey, isKey, parseKey } from "../lib/key.ts";

const h100: Environment = {
  accelerator: "cuda",
  devices: ["NVIDIA H100 80GB HBM3"],
  cuda: "13.0",
  rocm: null,
  torch: "2.11.0+cu130",
  triton: "3.6.0",
  vllm: "0.32.0",
  python: "3.12",
  machine: "x86_64",
  cpu_isa: null,
};

/** Another value for each fact: the compiler asks for a row when a fact is added. */
const otherFacts: { readonly [F in keyof Environment]: readonly Environment[F][] } = {
  accelerator: ["rocm", "cpu"],
  devices: [[], ["NVIDIA H200"], ["NVIDIA H100 80GB HBM3", "NVIDIA H200"]],
  cuda: ["12.8", "13.00", null],
  rocm: ["6.4.43484-123eb5128"],
  torch: ["2.11.0", "2.11.1+cu130", null],
  triton: ["3.6.1", null],
  vllm: ["0.32.1", null],
  python: ["3.13", "3.12t", null],
  machine: ["aarch64"],
  cpu_isa: ["avx2:0123456789ab"],
};

test("computeKey() is the SHA-256 of canonical JSON of the namespace and every fact", () => {
  const text = '{"accelerator":"cuda","cpu_isa":null,"cuda":"13.0","devices":["NVIDIA H100 80GB HBM3"],' +
    '"machine":"x86_64","namespace":"default","python":"3.12","rocm":null,"torch":"2.11.0+cu130",' +
    '"triton":"3.6.0","vllm":"0.32.0"}';
  assert.equal(computeKey("default", h100), createHash("sha256").update(text).digest("hex"));
});

test("computeKey() gives another key for any other fact, and for another namespace", () => {
  const keys = [computeKey("default", h100), computeKey("other", h100)];
  for (const [name, values] of Object.entries(otherFacts)) {
    for (const value of values) keys.push(computeKey("default", { ...h100, [name]: value }));
  }
  assert.equal(new Set(keys).size, keys.length);
});

test("computeKey() does not mind the order in which the facts were found", () => {
  const key = computeKey("default", h100);
  const orders = fc.shuffledSubarray(Object.entries(h100), { minLength: 10, maxLength: 10 });
  fc.assert(fc.property(orders, (facts) => {
    const shuffled: Environment = { ...h100, ...Object.fromEntries(facts) };
    assert.equal(computeKey("default", shuffled), key);
    assert.equal(computeKey("default", Object.fromEntries(facts) as unknown as Environment), key);
  }));
});

test("computeKey() gives names that isKey() accepts", () => {
  assert.ok(isKey(computeKey("default", h100)));
});

test("isKey() refuses what else lies beside the keys in a store, and whatever is no plain name", () => {
  for (const name of ["leases", "format.json", "", "..", "a/b", "x".repeat(101)]) {
    assert.equal(isKey(name), false, name);
  }
  for (const name of ["release", "Leases", "format.jsonl", "llama-8b", "x".repeat(100)]) {
    assert.equal(isKey(name), true, name);
  }
});

test("parseKey() names the setting, the value and the rule", () => {
  assert.equal(parseKey("llama-8b", "B10_CACHE_KEY"), "llama-8b");
  for (const name of ["leases", "format.json", "../up", "a\nb"]) {
    assert.throws(() => parseKey(name, "B10_CACHE_KEY"), (error) => {
      assert.ok(error instanceof CacheError);
      assert.equal(error.code, "bad_setting");
      assert.ok(error.message.includes(`B10_CACHE_KEY ${JSON.stringify(name)}`), error.message);
      assert.match(error.message, /must match .* and not be one of format\.json, leases$/);
      return true;
    });
  }
});
