import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { maxGenerationNumber } from "../../lib/manifest.ts";
import { generationFileName, generationNumberOf, keyDirs } from "../../lib/store/layout.ts";
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
