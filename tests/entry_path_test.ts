import assert from "node:assert/strict";
import * as path from "node:path/posix";
import * as win32 from "node:path/win32";
import { test } from "node:test";
import fc from "fast-check";
import { entryPathProblem } from "../lib/entry_path.ts";

const component = "n".repeat(255);

const accepted = [
  "a",
  "inductor/c3/kernel.so",
  "inductor/triton/0/KEY/__grp__kernel.json",
  "a..b",
  "..a",
  "a..",
  "...",
  ".hidden/.x",
  " a /b ",
  "a\tb",
  "ab:c",
  "d/a:b",
  "naïve/文件/😀",
  component,
  "ü".repeat(127),
  Array(128).fill("d").join("/"),
  Array(12).fill(component).join("/"), // 3,071 bytes
];

const refused: readonly (readonly [string, RegExp])[] = [
  ["", /empty/],
  ["/", /relative/],
  ["/etc/passwd", /relative/],
  ["//a", /relative/],
  ["..", /component/],
  ["../a", /component/],
  ["a/../b", /component/],
  ["a/..", /component/],
  [".", /component/],
  ["./a", /component/],
  ["a/./b", /component/],
  ["a//b", /component/],
  ["a/", /component/],
  ["a\0b", /NUL/],
  ["a\\..\\b", /backslash/],
  ["C:", /drive/],
  ["c:/windows", /drive/],
  ["a:b", /drive/],
  ["a\ud800", /UTF-8/],
  ["\udc00/a", /UTF-8/],
  ["a\ufffd", /UTF-8/], // what a decoder makes of bytes that are not UTF-8
  [`${component}n`, /255/],
  ["ü".repeat(128), /255/],
  [Array(129).fill("d").join("/"), /128 levels/],
  [Array(13).fill(component).join("/"), /3072 bytes/],
];

test("entryPathProblem() finds nothing wrong with relative paths of plain names", () => {
  for (const entry of accepted) assert.equal(entryPathProblem(entry), undefined, entry);
});

test("entryPathProblem() says which rule a path breaks", () => {
  for (const [entry, rule] of refused) assert.match(entryPathProblem(entry) ?? "accepted", rule, entry);
});

/** Strings made of what path attacks are made of. */
const hostilePath = fc.array(
  fc.oneof(
    fc.constantFrom("/", "..", ".", "\\", "\0", "C:", "~", "%2e%2e", "a", "b.so", " ", "\n", "\u202e"),
    fc.string({ unit: "binary", maxLength: 4 }),
  ),
  { maxLength: 12 },
).map((parts) => parts.join(""));

test("whatever entryPathProblem() accepts stays below the root it is joined to", () => {
  fc.assert(
    fc.property(hostilePath, (entry) => {
      if (entryPathProblem(entry) !== undefined) return;
      for (const root of ["/tmp/torchinductor_root", "/"]) {
        const joined = path.normalize(path.join(root, entry));
        assert.ok(joined.startsWith(root === "/" ? "/" : `${root}/`), joined);
        assert.equal(path.relative(root, joined), entry);
      }
      assert.equal(win32.isAbsolute(entry), false);
      assert.equal(win32.normalize(win32.join("X:\\root", entry)).startsWith("X:\\root\\"), true);
    }),
    { numRuns: 2000 },
  );
});

test("whatever entryPathProblem() accepts comes back unchanged from UTF-8", () => {
  fc.assert(
    fc.property(hostilePath, (entry) => {
      if (entryPathProblem(entry) !== undefined) return;
      assert.equal(new TextDecoder().decode(new TextEncoder().encode(entry)), entry);
    }),
    { numRuns: 1000 },
  );
});
