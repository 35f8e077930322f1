/** A few seconds of `deno task fuzz`. Every crash that it ever found has a test of its own below. */
import { test } from "node:test";
import fc from "fast-check";
import { targets } from "./generators.ts";

for (const { name, property } of targets) {
  test(`any ${name} is taken or refused by a rule, and what is taken keeps every promise`, async () => {
    await fc.assert(property, { numRuns: 600 });
  });
}
