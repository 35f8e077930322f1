import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { countOf, formatBytes, formatDuration, printableJson, quote } from "../lib/text.ts";

const sizes: readonly (readonly [number, string])[] = [
  [0, "0 B"],
  [1, "1 B"],
  [999, "999 B"],
  [1000, "1.00 kB"],
  [9_994, "9.99 kB"],
  [9_999, "10.0 kB"],
  [10_000, "10.0 kB"],
  [999_949, "999.9 kB"],
  [999_999, "1.00 MB"],
  [1_048_576, "1.05 MB"],
  [38_245_041, "38.2 MB"],
  [999_999_999, "1.00 GB"],
  [1_500_000_000, "1.50 GB"],
  [2e12, "2.00 TB"],
  [5e15, "5000.0 TB"],
];

test("formatBytes() counts in powers of ten, with three digits", () => {
  for (const [bytes, text] of sizes) assert.equal(formatBytes(bytes), text, String(bytes));
});

const durations: readonly (readonly [number, string])[] = [
  [0, "0 ms"],
  [0.4, "0 ms"],
  [84.4, "84 ms"],
  [999, "999 ms"],
  [999.6, "1.00 s"],
  [1000, "1.00 s"],
  [2_414, "2.41 s"],
  [59_990, "59.99 s"],
  [59_999, "1 min 0 s"],
  [60_000, "1 min 0 s"],
  [119_600, "2 min 0 s"],
  [200_000, "3 min 20 s"],
  [3_600_000, "60 min 0 s"],
];

test("formatDuration() never rounds up to a full unit of its own", () => {
  for (const [ms, text] of durations) assert.equal(formatDuration(ms), text, String(ms));
});

test("countOf() has a plural for all but one", () => {
  assert.equal(countOf(0, "file"), "0 files");
  assert.equal(countOf(1, "file"), "1 file");
  assert.equal(countOf(711, "file"), "711 files");
});

const quoted: readonly (readonly [string, string])[] = [
  ["c3/kernel.so", '"c3/kernel.so"'],
  ["naïve 文件 😀", '"naïve 文件 😀"'],
  ['a"b\\c', '"a\\"b\\\\c"'],
  ["a\nb\r", '"a\\nb\\r"'],
  ["\x1b[2J\x00", '"\\u001b[2J\\u0000"'],
  ["\x7f\x9b31m", '"\\u007f\\u009b31m"'], // DEL; the one-byte CSI
  ["gpj.\u202etxt", '"gpj.\\u202etxt"'], // right-to-left override
  ["\u061c\u200e\u200f\u2066\u2069", '"\\u061c\\u200e\\u200f\\u2066\\u2069"'], // all bidi marks
  ["\u2028\u2029", '"\\u2028\\u2029"'], // line separators
  ["a\u200bb\u00ad\u2060\ufeff", '"a\\u200bb\\u00ad\\u2060\\ufeff"'], // invisible
  ["a\u{e0041}", '"a\\udb40\\udc41"'], // an invisible tag
  ["\ud800", '"\\ud800"'],
];

test("quote() escapes what moves a cursor, forges a line or cannot be seen, and nothing else", () => {
  for (const [name, text] of quoted) assert.equal(quote(name), text);
});

test("quote() and printableJson() let no control character, bidi mark or newline through, and lose nothing", () => {
  const dangerous = fc.oneof(
    fc.integer({ min: 0, max: 0x9f }),
    fc.integer({ min: 0x2000, max: 0x206f }),
    fc.integer({ min: 0, max: 0x10ffff }),
  ).map((point) => String.fromCodePoint(point));
  fc.assert(fc.property(fc.array(dangerous).map((parts) => parts.join("")), (name) => {
    const shown = quote(name);
    assert.doesNotMatch(shown, /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cf}]/u);
    assert.equal(JSON.parse(shown), name);
    const json = printableJson({ [name]: [name], other: "\\" + name });
    assert.doesNotMatch(json, /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cf}]/u);
    assert.deepEqual(JSON.parse(json), { [name]: [name], other: "\\" + name });
  }));
});
