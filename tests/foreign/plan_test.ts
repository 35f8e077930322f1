import assert from "node:assert/strict";
import { test } from "node:test";
import { maxEntries } from "../../lib/entry_rules.ts";
import { ArchivePlanner } from "../../lib/foreign/plan.ts";
import { type TarEntry, TarRule } from "../../lib/foreign/tar_entries.ts";

function entryOf(kind: TarEntry["kind"], name: string): TarEntry {
  return { kind, name, linkName: "", size: 0, mode: 0o644, mtimeNs: 0n };
}

function planned(entries: readonly (readonly [TarEntry["kind"], string])[]) {
  const planner = new ArchivePlanner({ maxRawBytes: 1 });
  for (const [kind, name] of entries) planner.add(entryOf(kind, name));
  return planner.plan();
}

function refusal(rule: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof TarRule && rule.test(error.message);
}

test("a plan has files of directories with and without an entry, in any order", () => {
  const { files } = planned([["file", "a/b/1"], ["directory", "a/"], ["directory", "c/d/"], ["file", "c/2"]]);
  assert.deepEqual([...files.keys()], ["a/b/1", "c/2"]);
});

test("a file above a directory, or above another file, is refused, whichever comes first", () => {
  const below = [["directory", "a/b/"], ["file", "a/b"]] as const;
  for (const other of below) {
    const file = ["file", "a"] as const;
    for (const entries of [[file, other], [other, file]]) {
      assert.throws(() => planned(entries), refusal(/a file and a directory|"a" is a file in it/));
    }
  }
});

test("directories that no entry names count as well", () => {
  const deep = Array.from({ length: maxEntries / 100 }, (_, at) => `${at}${"/d".repeat(100)}`);
  for (const kind of ["directory", "file"] as const) {
    assert.throws(
      () => planned(deep.map((name) => [kind, name])),
      refusal(/more than 200000 files and directories/),
    );
  }
  const some = planned(deep.slice(0, 1900).map((name) => ["file", name]));
  assert.equal(some.files.size, 1900);
});
