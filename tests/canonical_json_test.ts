import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalJson, type JsonValue } from "../lib/canonical_json.ts";

const examples: readonly (readonly [JsonValue, string])[] = [
  [null, "null"],
  [true, "true"],
  [-1.5, "-1.5"],
  [-0, "0"],
  [1e21, "1e+21"],
  ['a"\n\u0007é', '"a\\"\\n\\u0007é"'],
  [[], "[]"],
  [{}, "{}"],
  [[3, [1, { b: 1, a: 2 }], null], '[3,[1,{"a":2,"b":1}],null]'],
  // By code unit: capitals first, "10" before "9", a surrogate pair before U+FF61.
  [{ a: 1, B: 2, "9": 3, "10": 4, "": 5 }, '{"":5,"10":4,"9":3,"B":2,"a":1}'],
  [{ "｡": 1, "😀": 2 }, '{"😀":2,"｡":1}'],
];

test("canonicalJson() sorts keys by code unit and leaves no white space", () => {
  for (const [value, text] of examples) assert.equal(canonicalJson(value), text);
});

test("canonicalJson() says nothing but what JSON.parse() reads back", () => {
  fc.assert(fc.property(fc.jsonValue({ depthSize: "medium" }), (value) => {
    const json = value as JsonValue;
    assert.deepEqual(JSON.parse(canonicalJson(json)), JSON.parse(JSON.stringify(json)));
  }));
});

test("canonicalJson() is the same for every order of the keys", () => {
  const members = fc.uniqueArray(fc.tuple(fc.string(), fc.integer()), { selector: ([key]) => key });
  const twoOrders = members.chain((entries) =>
    fc.tuple(
      fc.constant(entries),
      fc.shuffledSubarray(entries, { minLength: entries.length, maxLength: entries.length }),
    )
  );
  fc.assert(fc.property(twoOrders, ([one, other]) => {
    assert.equal(canonicalJson(Object.fromEntries(one)), canonicalJson(Object.fromEntries(other)));
  }));
});
