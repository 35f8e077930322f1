import assert from "node:assert/strict";
import { test } from "node:test";
import { rootChoice } from "../../lib/commands/root_choice.ts";
import { UsageError } from "../../lib/errors.ts";

function place(name: string, path: string) {
  return { name, path, source: "--root", isDefault: false };
}

test("without an option it is torch's cache; --vllm and --all-roots say otherwise", () => {
  assert.deepEqual(rootChoice({}), { selection: "torch", extra: [] });
  assert.deepEqual(rootChoice({ vllm: true }), { selection: "vllm", extra: [] });
  assert.deepEqual(rootChoice({ allRoots: true }), { selection: "all", extra: [] });
  assert.deepEqual(rootChoice({ vllm: false, allRoots: false, root: [] }), { selection: "torch", extra: [] });
});

test("--root adds to whichever it is, in the order in which they are given", () => {
  const root = ["b=/tmp/b/", "a=/tmp//a"];
  const extra = [place("b", "/tmp/b"), place("a", "/tmp/a")];
  assert.deepEqual(rootChoice({ root }), { selection: "torch", extra });
  assert.deepEqual(rootChoice({ vllm: true, root }), { selection: "vllm", extra });
  assert.deepEqual(rootChoice({ allRoots: true, root }), { selection: "all", extra });
});

const wrong: readonly (readonly [flags: Parameters<typeof rootChoice>[0], message: string])[] = [
  [{ vllm: true, allRoots: true }, "--vllm and --all-roots exclude each other"],
  [{ root: ["a=/tmp/a", "b=/tmp/b", "a=/tmp/c"] }, "--root a=… may be given once"],
  [{ root: ["/tmp/a"] }, 'Cannot use --root "/tmp/a" as it must be name=directory'],
  [{ root: ["=/tmp/a"] }, 'Cannot use --root "=/tmp/a" as it must be name=directory'],
  [{ root: ["a=tmp"] }, 'Cannot use --root "a=tmp" as it must name an absolute directory'],
  [{ root: ["a=/tmp/../etc"] }, 'Cannot use --root "a=/tmp/../etc" as it must have no ".." in its directory'],
];

for (const [flags, message] of wrong) {
  test(`wrong usage: ${message}`, () => {
    assert.throws(() => rootChoice(flags), (error) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.message, message);
      return true;
    });
  });
}

test("a name that no root may have is wrong usage, and says the rule", () => {
  for (const name of ["A", "-a", "a/b", ".b10-x", "a".repeat(33), "a b"]) {
    assert.throws(() => rootChoice({ root: [`${name}=/tmp/a`] }), /must have a name that matches/, name);
  }
});
