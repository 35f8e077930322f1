import assert from "node:assert/strict";
import { test } from "node:test";
import { redacted, withoutSecrets } from "../lib/secrets.ts";

const file = "vllm/torch_compile_cache/0123456789/rank_0_0/backbone/cache_key_factors.json";

function stored(value: unknown, path = file): string {
  return Buffer.from(withoutSecrets(path, Buffer.from(JSON.stringify(value)))).toString();
}

test("a secret in vLLM's factors does not reach the store, and two of them can still be told apart", () => {
  const env = { VLLM_API_KEY: "sk-very-secret", VLLM_PORT: "8000", S3_SECRET: "", HF_TOKEN: null };
  const text = stored({ env, config: { nested: [{ password: "hunter2" }] }, code_hash: "ab" });
  assert.ok(!text.includes("sk-very-secret") && !text.includes("hunter2"), text);
  assert.deepEqual(JSON.parse(text), {
    env: { ...env, VLLM_API_KEY: redacted("sk-very-secret") },
    config: { nested: [{ password: redacted("hunter2") }] },
    code_hash: "ab",
  });
  assert.match(redacted("a"), /^redacted [0-9a-f]{8}$/);
  assert.notEqual(redacted("a"), redacted("b"));
});

test("what is redacted stays as it is, and a file without secrets keeps its bytes", () => {
  const once = stored({ env: { VLLM_API_KEY: "x" } });
  assert.equal(Buffer.from(withoutSecrets(file, Buffer.from(once))).toString(), once);
  const plain = Buffer.from('{"env":   {"VLLM_PORT": "8000"}}');
  assert.equal(withoutSecrets(file, plain), plain);
});

test("other files are not looked at; factors that are no JSON are emptied", () => {
  const content = Buffer.from('{"VLLM_API_KEY":"x"}');
  assert.equal(withoutSecrets("vllm/other.json", content), content);
  assert.equal(withoutSecrets("vllm/my_cache_key_factors.json", content), content);
  assert.equal(Buffer.from(withoutSecrets(file, Buffer.from("VLLM_API_KEY=x"))).toString(), "{}");
});
