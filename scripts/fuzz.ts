/**
 * `deno task fuzz [MINUTES] [--seed N]`: the generators of tests/hostile on the three parsers, for as long as is asked.
 * A failure prints the seed, the shrunk input, and what did not hold; it becomes a test in tests/hostile/fuzz_test.ts.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { targets } from "../tests/hostile/generators.ts";

/** Short rounds, so that each parser has its turn. */
const runsPerRound = 2000;

/** Nothing that a parser is given takes a hundredth of this: a hang is a failure. */
const roundTimeoutMs = 120_000;

function readArguments(): { minutes: number; seed: number } {
  const { values, positionals: [minutes = "1"] } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: "string" } },
  });
  const read = { minutes: Number(minutes), seed: Number(values.seed ?? Date.now() % 2 ** 31) };
  if (!(read.minutes > 0) || !Number.isInteger(read.seed)) {
    throw new Error("usage: fuzz [MINUTES] [--seed N]");
  }
  return read;
}

const { minutes, seed } = readArguments();
const endMs = Date.now() + minutes * 60_000;
const runs = new Map(targets.map(({ name }) => [name, 0]));
console.log(`seed ${seed}, ${minutes} min`);
// A round that hangs keeps the loop from its end: the seed was printed.
const watchdog = () =>
  setTimeout(() => {
    console.error(`a round took more than ${roundTimeoutMs / 1000} s`);
    process.exit(1);
  }, roundTimeoutMs);

for (let round = 0; Date.now() < endMs; round++) {
  for (const { name, property } of targets) {
    const timer = watchdog();
    const found = await fc.check(property, { numRuns: runsPerRound, seed: seed + round });
    clearTimeout(timer);
    runs.set(name, (runs.get(name) ?? 0) + found.numRuns);
    if (!found.failed) continue;
    console.error(`${name}, --seed ${seed + round}: ${await fc.asyncDefaultReportMessage(found)}`);
    process.exit(1);
  }
}
console.log([...runs].map(([name, count]) => `${name}: ${count} runs`).join(", "));
