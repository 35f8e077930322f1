import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addDirectory,
  directoriesAbove,
  fileSizeProblem,
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

test("directoriesAbove() names each directory once, those that are known as well", () => {
  const files = ["r/a/1", "r/a/2", "r/b/c/1", "r/a/3", "s/1", "t"];
  assert.deepEqual([...directoriesAbove(files) ?? []], ["r/a", "r", "r/b/c", "r/b", "s"]);
  const known = new Set<string>();
  addDirectory(known, "u/v");
  addDirectory(known, "u/v");
  assert.deepEqual([...known], ["u/v", "u"]);
  assert.deepEqual([...directoriesAbove(["u/v/1", "t"], known) ?? []], ["u/v", "u"]);
});

test("directoriesAbove() counts files and directories, and stops at too many", () => {
  const flat = (count: number) => Array.from({ length: count }, (_, at) => `r/${at}`);
  assert.ok(directoriesAbove(flat(maxEntries - 1)), "the root counts");
  assert.equal(directoriesAbove(flat(maxEntries)), undefined);
  assert.equal(directoriesAbove(flat(maxEntries - 1), new Set(["s"])), undefined);
  const deep = Array.from({ length: 2000 }, (_, at) => `r/${at}${"/d".repeat(100)}/f`);
  assert.equal(directoriesAbove(deep), undefined);
  assert.ok(directoriesAbove(deep.slice(0, 1900)));
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
