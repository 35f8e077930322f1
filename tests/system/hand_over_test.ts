import assert from "node:assert/strict";
import process from "node:process";
import { afterEach, test } from "node:test";
import { handOver, takeOver } from "../../lib/system/hand_over.ts";

const run = { code: 0, timedOut: false, stdout: "", stderr: "" };
const what = { roots: ["/cache"], made: ["/cache/made"], answers: [{ argv: ["true"], run }] };
const { name } = handOver(what);

afterEach(() => {
  delete process.env[name];
});

test("what is handed over is taken once, and leaves the environment", () => {
  process.env[name] = handOver(what).value;
  assert.partialDeepStrictEqual(takeOver(), what);
  assert.equal(process.env[name], undefined);
  assert.equal(takeOver(), undefined);
});

test("what another process was handed, or nobody wrote, counts for nothing", () => {
  const { pid: _own, ...others } = { pid: process.pid, ...what };
  for (const value of [JSON.stringify({ pid: process.pid + 1, ...others }), "{", "{}", "[]", ""]) {
    process.env[name] = value;
    assert.equal(takeOver(), undefined, value);
    assert.equal(process.env[name], undefined);
  }
});

test("answers that would make the environment too long for execve(2) are left out", () => {
  const long = { argv: ["python3"], run: { ...run, stdout: "x".repeat(120 * 1024) } };
  process.env[name] = handOver({ ...what, answers: [long] }).value;
  assert.partialDeepStrictEqual(takeOver(), { ...what, answers: [] });
});

test("what is carried comes with the rest, unless it is too long: then answers come all the same", () => {
  const carried = { operation: "load", settled: { n: [1, null, "two"] } };
  process.env[name] = handOver({ ...what, carried }).value;
  assert.deepEqual(takeOver()?.carried, carried);
  process.env[name] = handOver({ ...what, carried: "x".repeat(120 * 1024) }).value;
  const taken = takeOver();
  assert.partialDeepStrictEqual(taken, what);
  assert.equal(taken?.carried, undefined);
});
