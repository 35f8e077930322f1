import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { namePattern } from "../lib/names.ts";

const accepted = ["a", "0", "default", "Llama-3.1-8B", "a..b", "a_b", "x".repeat(100), "format.json"];
const refused = [
  "",
  ".",
  "..",
  ".hidden",
  "-rf",
  "_a",
  "a/b",
  "a\\b",
  "a b",
  "a\n",
  "\na",
  "a\0",
  "a:b",
  "é",
  "а", // Cyrillic
  "x".repeat(101),
];

test("namePattern accepts plain names of up to 100 characters", () => {
  for (const name of accepted) assert.match(name, namePattern);
});

test("namePattern refuses what is hidden, an option, a path, or not plain ASCII", () => {
  for (const name of refused) assert.doesNotMatch(name, namePattern, JSON.stringify(name));
});

test("namePattern accepts exactly the documented characters", () => {
  const first = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const rest = `${first}._-`;
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 110 }), (name) => {
    const documented = name.length > 0 && name.length <= 100 &&
      [...name].every((character, at) => (at === 0 ? first : rest).includes(character));
    assert.equal(namePattern.test(name), documented);
  }));
});
