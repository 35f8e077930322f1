import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { maxGenerationNumber } from "../../lib/manifest.ts";
import { parseKey } from "../../lib/key.ts";
import {
  generationFileName,
  generationNumberOf,
  isIncomingName,
  isMarkName,
  isUnfinishedFormatName,
  keyDirs,
  leasePaths,
  leasesDir,
} from "../../lib/store/layout.ts";
import { exampleKey } from "./examples.ts";

test("keyDirs() has a key's places as docs/format.md draws them", () => {
  assert.deepEqual(keyDirs("/cache/native", exampleKey), {
    key: "/cache/native/llama-8b",
    generations: "/cache/native/llama-8b/generations",
    layers: "/cache/native/llama-8b/layers",
    marks: "/cache/native/llama-8b/marks",
    incoming: "/cache/native/llama-8b/incoming",
    used: "/cache/native/llama-8b/used",
  });
});

test("generationFileName() writes the number with ten digits", () => {
  assert.equal(generationFileName(1), "0000000001.json");
  assert.equal(generationFileName(1234), "0000001234.json");
  assert.equal(generationFileName(maxGenerationNumber), "9999999999.json");
});

const number = fc.integer({ min: 1, max: maxGenerationNumber });

test("generationNumberOf() reads back every name that generationFileName() gives", () => {
  fc.assert(fc.property(number, (n) => assert.equal(generationNumberOf(generationFileName(n)), n)));
});

test("names of generations sort as their numbers do", () => {
  fc.assert(fc.property(number, number, (a, b) => {
    assert.equal(generationFileName(a) < generationFileName(b), a < b);
  }));
});

test("generationNumberOf() takes nothing else for a generation", () => {
  const others = [
    "",
    "1.json",
    "000000001.json", // nine digits
    "00000000001.json", // eleven
    "10000000000.json",
    "0000000000.json", // there is no number 0
    "-000000001.json",
    "+000000001.json",
    "0x00000001.json",
    "00000001e1.json",
    "0000000001",
    "0000000001.json.tmp",
    "0000000001.json~",
    "0000000001.JSON",
    "0000000001xjson",
    " 0000000001.json",
    "0000000001.json\n",
    "x0000000001.json",
    ".0000000001.json",
    ".nfs000000000001",
    "٠٠٠٠٠٠٠٠٠١.json",
  ];
  for (const name of others) assert.equal(generationNumberOf(name), undefined, JSON.stringify(name));
});

test("leasePaths() has a key's lease beside its directories, and the store's places in one of their own", () => {
  assert.deepEqual(leasePaths("/n", { kind: "pack", key: exampleKey }), {
    path: "/n/llama-8b/lease.json",
    incoming: "/n/llama-8b/incoming",
  });
  const names = [0, 7, 49, 99, 100].map((number) => leasePaths("/n", { kind: "save", number }));
  assert.deepEqual(
    names.map(({ path }) => path),
    ["00", "07", "49", "99", "100"].map((digits) => `/n/leases/save-${digits}.json`),
  );
  assert.ok(names.every(({ incoming }) => incoming === `${leasesDir("/n")}/incoming`));
});

test("the directory of the store's places cannot be a key's", () => {
  assert.throws(() => parseKey(leasesDir("/n").slice("/n/".length), "key"));
});

const nonce = "0123456789abcdef".repeat(2);

test("isMarkName() takes a nonce and .json alone", () => {
  assert.ok(isMarkName(`${nonce}.json`));
  for (
    const name of [
      `${nonce}.json~`,
      `x${nonce}.json`,
      `${nonce.toUpperCase()}.json`,
      `${nonce}.jsonx`,
      ".json",
    ]
  ) {
    assert.ok(!isMarkName(name), name);
  }
});

test("isIncomingName() takes whatever begins with a nonce and a dot", () => {
  for (const kind of ["tar.zst", "json", "lease", "mark", "used", "now", "swept", "a later kind"]) {
    assert.ok(isIncomingName(`${nonce}.${kind}`), kind);
  }
  for (
    const name of [nonce, `${nonce}x.json`, `x${nonce}.json`, `${nonce.slice(1)}.json`, "notes.txt", ".nfs01"]
  ) {
    assert.ok(!isIncomingName(name), name);
  }
});

test("isUnfinishedFormatName() takes what makes a store, and nothing that is one", () => {
  for (
    const name of [
      `format.json.new-${nonce}`,
      `format.json.torn-${nonce}`,
      `.probe-${nonce}.a`,
      `.probe-${nonce}.e`,
    ]
  ) {
    assert.ok(isUnfinishedFormatName(name), name);
  }
  const others = [
    "format.json",
    `format.json.new-${nonce}.x`,
    `format.json.old-${nonce}`,
    `my-format.json.new-${nonce}`,
    `.probe-${nonce}.f`,
    `.probe-${nonce}.aa`,
    exampleKey,
    "leases",
  ];
  for (const name of others) assert.ok(!isUnfinishedFormatName(name), name);
});
