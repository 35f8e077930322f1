import assert from "node:assert/strict";
import { test } from "node:test";
import { type Exploration, explore } from "./explore.ts";
import { protocol } from "./protocol.ts";
import { mutations, type SetupName, setups } from "./setups.ts";

const names = Object.keys(setups) as SetupName[];

/** A search takes a second or two, and many times that where other tests run at the same time. */
const timeout = 120_000;

function print(title: string, { states, transitions, depth, violation }: Exploration): void {
  console.log(`${title}: ${states} states, ${transitions} transitions, depth ${depth}`);
  if (!violation) return;
  for (const [at, step] of violation.trace.entries()) console.log(`  ${at + 1}. ${step}`);
  console.log(`  ${violation.problem}`);
}

for (const name of names) {
  const { states } = setups[name];
  test(`${name}, and a crash at every step: all ${states} states keep I1, I3 and I5`, { timeout }, () => {
    const exploration = explore(protocol(setups[name]));
    print(name, exploration);
    assert.equal(exploration.violation, undefined);
    assert.equal(exploration.states, states);
  });
}

for (const { without, setup, happens, problem } of mutations) {
  test(`without "${without}" ${happens}`, { timeout }, () => {
    const exploration = explore(protocol({ ...setups[setup], broken: [without] }));
    print(`without "${without}", ${setup}`, exploration);
    assert.match(exploration.violation?.problem ?? "nothing was found", problem);
  });
}
