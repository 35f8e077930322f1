import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeIndex } from "../lib/archive/index.ts";
import { isDense } from "../lib/json_density.ts";
import { indexedFile, textBytes } from "./archive/examples.ts";

const rows = 2000;

test("no index is dense, whatever its paths are", () => {
  const path = fc.oneof(
    fc.constantFrom("r/a", 'r/,,,,,,[[[[{{{{"""', "r/\\\\\\", 'r/\\"'),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(path, fc.boolean(), (path, replaced) => {
      const row = {
        ...indexedFile(path, new Uint8Array(0)),
        mtime: "0",
        ...(replaced ? { replacements: 1 } : {}),
      };
      const bytes = encodeIndex({ format: 1, frames: [], files: Array.from({ length: rows }, () => row) });
      assert.ok(!isDense(bytes));
    }),
    { numRuns: 60 },
  );
});

test("neither is one of frames alone", () => {
  const frame = { offset: 0, bytes: 1, raw_bytes: 512, sha256: "a".repeat(64) };
  assert.ok(
    !isDense(encodeIndex({ format: 1, frames: Array.from({ length: rows }, () => frame), files: [] })),
  );
});

test("a text with more values than rows of files have, or that nests deeper, is dense", () => {
  for (const value of ["[]", "{}", "0", '{"a":{}}', '"x"']) {
    assert.ok(isDense(textBytes(`[${`${value},`.repeat(10_000)}0]`)), value);
  }
  assert.ok(isDense(textBytes("[".repeat(9))));
  assert.ok(!isDense(textBytes("[".repeat(8))));
  assert.ok(!isDense(textBytes("[0,0,0]")), "a few values of anything are no matter");
});

test("a text that ends within a string is looked at to its end", () => {
  for (const text of ['"', '"\\', '"\\"', '{"a":"']) assert.ok(!isDense(textBytes(text)));
});
