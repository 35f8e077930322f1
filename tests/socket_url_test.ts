import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatSocketUrl, parseSocketUrl, shownUrl } from "../lib/socket_url.ts";

const parsed: readonly (readonly [string, boolean, string, string])[] = [
  ["unix:/run/vllm.sock", false, "/run/vllm.sock", "/v1/models"],
  ["unix:/run/vllm.sock:/health", false, "/run/vllm.sock", "/health"],
  ["unix:/run/vllm.sock:/health?x=1", false, "/run/vllm.sock", "/health?x=1"],
  ["https+unix:/run/vllm.sock", true, "/run/vllm.sock", "/v1/models"],
  ["unix:vllm.sock", false, "vllm.sock", "/v1/models"],
  ["unix:/run/a:b.sock", false, "/run/a:b.sock", "/v1/models"],
  ["unix:/run/a:/b.sock:/health", false, "/run/a:/b.sock", "/health"],
  ["unix:/run/with a space", false, "/run/with a space", "/v1/models"],
];

test("parseSocketUrl() finds the socket, and what is asked there", () => {
  for (const [text, tls, socketPath, requestPath] of parsed) {
    assert.deepEqual(parseSocketUrl(text), { tls, socketPath, requestPath }, text);
  }
});

test("parseSocketUrl() leaves every other address alone", () => {
  for (
    const text of ["http://127.0.0.1/", "https://unix:80/", "unix:", "https+unix:", "/run/vllm.sock", ""]
  ) {
    assert.equal(parseSocketUrl(text), undefined, text);
  }
});

test("what formatSocketUrl() writes is read back, whatever the socket's path is", () => {
  const socketPath = fc.string({ minLength: 1, unit: fc.constantFrom(":", "/", "a", " ", "é", "%", "\n") });
  const requestPath = fc.constantFrom("/", "/v1/models", "/health?x=1");
  fc.assert(fc.property(fc.boolean(), socketPath, requestPath, (tls, socketPath, requestPath) => {
    const url = { tls, socketPath, requestPath };
    assert.deepEqual(parseSocketUrl(formatSocketUrl(url)), url);
  }));
});

const shown: readonly (readonly [string, string])[] = [
  ["http://127.0.0.1:8000/v1/models", "http://127.0.0.1:8000/v1/models"],
  ["http://user:s3cret@host?api_key=s3cret", "http://host/"],
  ["https://s3cret@[::1]:9000/health#s3cret", "https://[::1]:9000/health"],
  ["http://host/@app/v1?s3cret", "http://host/@app/v1"],
  ["unix:/run/@vllm.sock:/health?api_key=s3cret", "unix:/run/@vllm.sock:/health"],
  ["https+unix:/run/vllm.sock:/health?s3cret@s3cret\ns3cret", "https+unix:/run/vllm.sock:/health"],
];

test("shownUrl() leaves out who asks, and the query", () => {
  for (const [address, expected] of shown) assert.equal(shownUrl(address), expected, address);
});
