import assert from "node:assert/strict";
import { test } from "node:test";
import { isSecretName, redacted, withoutSecrets } from "../lib/secrets.ts";

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

const secretNames = [
  ..."VLLM_API_KEY OPENAI_API_KEYS AWS_SECRET_ACCESS_KEY_OLD S3_ACCESS_KEY_ID HF_TOKEN HF_TOKEN_2 TOKEN2 APIKEY"
    .split(" "),
  ..."DB_PASS PGPASSWORD PASSPHRASE DB_PWD AUTHORIZATION basic-auth apiKeys accessToken client.secret".split(
    " ",
  ),
  ..."GOOGLE_APPLICATION_CREDENTIALS GIT_CREDS GITHUB_PAT SENTRY_DSN SESSION_COOKIE OTEL_HEADERS".split(" "),
];
const otherNames = [
  ..."VLLM_PORT TOKENIZERS_PARALLELISM VLLM_TOKENIZER pass_config passes inductor_passes author PWD OLDPWD"
    .split(" "),
  ..."VLLM_ATTENTION_BACKEND keyword PATH patience compass code_hash config_hash VLLM_KV_CACHE_LAYOUT".split(
    " ",
  ),
];

test("a secret's name has the word anywhere in it, and more of them", () => {
  for (const name of secretNames) assert.ok(isSecretName(name), name);
  for (const name of otherNames) assert.ok(!isSecretName(name), name);
});

test("lists and objects below a secret's name hold secrets, each of them", () => {
  const value = {
    api_key: ["sk-1", ["sk-2"], 3],
    auth: { user: "u", on: true },
    pass_config: { fuse: "yes" },
  };
  assert.deepEqual(JSON.parse(stored(value)), {
    api_key: [redacted("sk-1"), [redacted("sk-2")], 3],
    auth: { user: redacted("u"), on: true },
    pass_config: { fuse: "yes" },
  });
});

const withSecrets: readonly (readonly [string, string])[] = [
  ["http://u:pw@h/p?x=1", `http://${redacted("u:pw")}@h/p?x=1`],
  ["redis://:pw@a:1,redis://t@b", `redis://${redacted(":pw")}@a:1,redis://${redacted("t")}@b`],
  ["http://h/?a=1&api_key=pw&b=2", `http://h/?a=1&api_key=${redacted("pw")}&b=2`],
  ["--port=1 --api-key=pw", `--port=1 --api-key=${redacted("pw")}`],
  ["X: Bearer pw", `X: Bearer ${redacted("pw")}`],
];
const withoutAny = ["git+https://github.com/a/b@v1", "user@host:/path", "a=1,b=2", "/keys/a", "redacted"];

test("secrets within a value go, and the rest of it stays", () => {
  for (const [text, expected] of withSecrets) {
    const once = stored({ env: { VALUE: text, LIST: [text] } });
    assert.deepEqual(JSON.parse(once), { env: { VALUE: expected, LIST: [expected] } });
    assert.equal(Buffer.from(withoutSecrets(file, Buffer.from(once))).toString(), once);
  }
  const plain = JSON.stringify({ env: Object.fromEntries(withoutAny.map((text, at) => [`V${at}`, text])) });
  assert.equal(Buffer.from(withoutSecrets(file, Buffer.from(plain))).toString(), plain);
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
