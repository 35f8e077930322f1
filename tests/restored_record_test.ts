import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRecord, encodeRecord, type RestoredFiles } from "../lib/restored_record.ts";

const files: RestoredFiles = new Map([
  ["inductor/a", { sha256: "a".repeat(64), stat: { ino: 1n, size: 2, mtimeNs: 3n, ctimeNs: -1n } }],
]);

test("a record is JSON in columns; the numbers of each file are 64 bits wide, little-endian", () => {
  assert.deepEqual(JSON.parse(encodeRecord("a cache", files)), {
    format: 2,
    subject: "a cache",
    paths: ["inductor/a"],
    sha256: ["a".repeat(64)],
    versions: Buffer.from(
      `01${"00".repeat(7)}02${"00".repeat(7)}03${"00".repeat(7)}${"ff".repeat(8)}`,
      "hex",
    ).toString("base64"),
  });
});

test("a record is read back where it is about what was asked for", () => {
  const text = encodeRecord("a cache", files);
  assert.deepEqual(decodeRecord(text, "a cache"), files);
  assert.equal(decodeRecord(text, "another cache"), undefined);
  assert.deepEqual(decodeRecord(encodeRecord("empty", new Map()), "empty"), new Map());
});
