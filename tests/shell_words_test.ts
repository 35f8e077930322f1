import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { simpleCommands } from "../lib/shell_words.ts";

const scripts: readonly (readonly [string, string[][]])[] = [
  ["", []],
  ["vllm serve m", [["vllm", "serve", "m"]]],
  ["  a\t b ", [["a", "b"]]],
  ["a && b || c; d | e & f", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]],
  ["a\nb", [["a"], ["b"]]],
  ["a \\\n b", [["a", "b"]]],
  ["a\\\nb", [["ab"]]],
  ["(a; b)", [["a"], ["b"]]],
  ["a 'b c' \"d e\"", [["a", "b c", "d e"]]],
  ["a --host=''", [["a", "--host="]]],
  ["a '' \"\"", [["a", "", ""]]],
  ["a b'c'\"d\"e", [["a", "bcde"]]],
  ["a 'b;c' \"d&&e\"", [["a", "b;c", "d&&e"]]],
  ['a "b\\"c" "\\$d" "\\n"', [["a", 'b"c', "$d", "\\n"]]],
  ["a b\\ c \\'", [["a", "b c", "'"]]],
  ["a # b; c\nd", [["a"], ["d"]]],
  ["#a\nb", [["b"]]],
  ["a b#c", [["a", "b#c"]]],
  ["a > log 2>&1", [["a", "log", "2", "1"]]],
  ["a 8001>log", [["a", "8001", "log"]]],
  ["a --port $PORT ${HOST}", [["a", "--port", "$PORT", "${HOST}"]]],
  ["a 'b", [["a", "'b"]]],
];

test("simpleCommands() gives the words of each command", () => {
  for (const [script, commands] of scripts) assert.deepEqual(simpleCommands(script), commands, script);
});

test("simpleCommands() sees the words that a shell sees, in any quoting", () => {
  const piece = fc.constantFrom(
    "a",
    "1",
    "-",
    " ",
    "''",
    "' b'",
    '"c "',
    '"\\""',
    '"\\\\"',
    "\\ ",
    "\\'",
    "#",
    "'#'",
  );
  const script = fc.array(piece, { maxLength: 12 }).map((pieces) => `x ${pieces.join("")}`);
  fc.assert(
    fc.property(script, (text) => {
      const printed = execFileSync("/bin/sh", ["-c", `x() { printf '%s\\n' x "$@"; }\n${text}`], {
        encoding: "utf8",
      });
      assert.deepEqual(simpleCommands(text), [printed.split("\n").slice(0, -1)]);
    }),
    { numRuns: 60 },
  );
});

test("simpleCommands() takes any text at all", () => {
  fc.assert(fc.property(fc.string(), (text) => void simpleCommands(text)));
});
