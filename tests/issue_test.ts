import assert from "node:assert/strict";
import { test } from "node:test";
import * as v from "valibot";
import { describeIssue } from "../lib/issue.ts";

function described(value: unknown): string {
  const parsed = v.safeParse(v.strictObject({ a: v.array(v.literal("x")) }), value);
  const [issue] = parsed.issues ?? [];
  return issue ? describeIssue(issue) : assert.fail("it is valid");
}

test("describeIssue() says where, what was expected, and what was there", () => {
  assert.equal(described({ a: ["x", "y"] }), 'a.1 Invalid type: Expected "x" but received "y"');
});

test("describeIssue() shows nothing raw of a hostile value or name, and not much of a long one", () => {
  const escape = "\u001b[2J\n\u009b\u202e";
  for (const value of [{ a: [escape] }, { a: [], [escape]: 1 }]) {
    assert.match(described(value), /\\u001b\[2J\\u000a\\u009b\\u202e/);
  }
  assert.ok(described({ a: ["n".repeat(1_000_000)] }).length < 400);
});
