import assert from "node:assert/strict";
import { test } from "node:test";
import { whyNotCleared } from "../lib/clear_guard.ts";

const prefixes = ["/tmp", "/cache", "/home/app/.cache", "/tmp/operators"];
const mountinfo = [
  "22 1 0:20 / / rw - overlay overlay rw",
  "23 22 0:21 / /tmp/mounted rw - tmpfs tmpfs rw",
  "24 22 0:22 / /tmp/holds/a\\040mount rw - ext4 /dev/sda rw",
].join("\n");

function why(name: string, dir: string, entries: readonly string[] = []): string | undefined {
  return whyNotCleared({ name, dir, entries }, { prefixes, mountinfo });
}

test("a prefix, and what holds one, is not emptied", () => {
  assert.match(
    why("inductor", "/tmp/operators", ["aa"]) ?? "",
    /holds the allowed prefix "\/tmp\/operators"/,
  );
  assert.match(why("vllm", "/home/app") ?? "", /holds the allowed prefix "\/home\/app\/\.cache"/);
  assert.equal(why("inductor", "/tmp/operators-twin", ["aa"]), undefined);
});

test("a mount point, and what holds one, is not emptied", () => {
  assert.match(why("inductor", "/tmp/mounted") ?? "", /"\/tmp\/mounted" is a mount point/);
  assert.match(why("inductor", "/tmp/holds") ?? "", /"\/tmp\/holds\/a mount" is a mount point/);
  assert.equal(why("inductor", "/tmp/mounted/below", ["aa"]), undefined);
});

for (const entry of [".git", ".ssh", "etc", "model-00001-of-00002.safetensors", "config.json", "id.pem"]) {
  test(`what has ${entry} is no cache, whatever else is in it`, () => {
    for (const name of ["inductor", "vllm", "triton", "mine"]) {
      assert.match(
        why(name, "/tmp/dir", ["aa", "fxgraph", "torch_compile_cache", entry]) ?? "",
        /a compile cache has no/,
      );
    }
  });
}

test("torch's and vLLM's caches have something that these programs put there, or nothing", () => {
  assert.equal(why("inductor", "/tmp/dir"), undefined);
  assert.equal(why("inductor", "/tmp/dir", ["notes", "aa"]), undefined);
  assert.equal(why("vllm", "/tmp/dir", ["torch_compile_cache"]), undefined);
  assert.match(
    why("inductor", "/tmp/dir", ["notes"]) ?? "",
    /nothing in it is known of torch's cache, as "notes"/,
  );
  assert.match(why("vllm", "/tmp/dir", ["aa"]) ?? "", /nothing in it is known of vLLM's cache/);
  assert.equal(why("triton", "/tmp/dir", ["ANYTHING"]), undefined);
});

test("a name cannot move a terminal's cursor", () => {
  assert.match(why("inductor", "/tmp/dir", ["\u001b[2J"]) ?? "", /\\u001b\[2J/);
});
