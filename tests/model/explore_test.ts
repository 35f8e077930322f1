import assert from "node:assert/strict";
import { test } from "node:test";
import { explore, type Machine } from "./explore.ts";

/** Counts from 0 to `last` in steps of one and two. */
function counter(last: number, problemOf: Machine<number>["problemOf"] = () => undefined): Machine<number> {
  return {
    initial: 0,
    keyOf: String,
    stepsFrom: (n) =>
      [1, 2].filter((by) => n + by <= last).map((by) => ({ what: `adds ${by}`, state: n + by })),
    problemOf,
  };
}

test("explore() visits every state once, and takes every step", () => {
  assert.deepEqual(explore(counter(5)), { states: 6, transitions: 9, depth: 3 });
});

test("explore() gives the shortest way to the nearest problem", () => {
  const { violation } = explore(counter(9, (n) => n >= 5 ? `${n} is too much` : undefined));
  assert.deepEqual(violation, { problem: "5 is too much", trace: ["adds 1", "adds 2", "adds 2"] });
});

test("explore() finds a problem of the initial state", () => {
  const { violation } = explore(counter(9, (n) => n === 0 ? "nothing" : undefined));
  assert.deepEqual(violation, { problem: "nothing", trace: [] });
});

test("explore() refuses a machine whose steps are not the same twice", () => {
  let made = 0;
  const machine: Machine<number> = {
    ...counter(9, (n) => n > 1 ? "too much" : undefined),
    stepsFrom: () => [{ what: "jumps", state: ++made }],
  };
  assert.throws(() => explore(machine), /not deterministic/);
});
