import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fileSizeProblem,
  isTooMany,
  maxEntries,
  maxFileBytes,
  maxRawBytes,
  MemoryBudget,
  quoteShort,
  restoredMode,
} from "../lib/entry_rules.ts";
import { cacheError } from "./store/examples.ts";

test("maxRawBytes() allows a few megabytes of anything, and else a multiple of what is stored", () => {
  const mib = 1024 * 1024;
  assert.equal(maxRawBytes(0, 100), 64 * mib);
  assert.equal(maxRawBytes(mib, 100), 100 * mib);
});

test("restoredMode() takes writing by others away, and whatever is no permission", () => {
  const modes = [[0o666, 0o664], [0o777, 0o775], [0o644, 0o644], [0o400, 0o400], [0o4755, 0o755]] as const;
  for (const [mode, restored] of modes) assert.equal(restoredMode(mode), restored);
});

test("quoteShort() escapes a name, and cuts one that nobody would read", () => {
  assert.equal(quoteShort('a\n"\u009b\u202e'), '"a\\n\\"\\u009b\\u202e"');
  assert.equal(quoteShort("n".repeat(400)), `"${"n".repeat(400)}"`);
  assert.equal(quoteShort("n".repeat(1_000_000)), `"${"n".repeat(400)}"… (1000000 characters)`);
});

test("isTooMany() counts files and each directory above them once", () => {
  const flat = (count: number) => Array.from({ length: count }, (_, at) => `r/${at}`);
  assert.ok(!isTooMany(flat(maxEntries - 1)), "the root counts");
  assert.ok(isTooMany(flat(maxEntries)));
  const deep = Array.from({ length: 2000 }, (_, at) => `r/${at}${"/d".repeat(100)}/f`);
  assert.ok(isTooMany(deep));
  assert.ok(!isTooMany(deep.slice(0, 1900)));
});

test("fileSizeProblem() takes a file as large as memory allows", () => {
  assert.equal(fileSizeProblem(maxFileBytes), undefined);
  assert.equal(fileSizeProblem(maxFileBytes + 1), "have at most 268435456 bytes");
});

test("a MemoryBudget is for all that is taken together", () => {
  const budget = new MemoryBudget(10);
  budget.take(4);
  budget.take(6);
  assert.throws(() => budget.take(1), cacheError("bad_index", /decode to more than 10 bytes together$/));
});
