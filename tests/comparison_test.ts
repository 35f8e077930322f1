import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import type { PlannedFile } from "../lib/archive.ts";
import type { Base } from "../lib/base.ts";
import { type AddedFile, Comparison } from "../lib/comparison.ts";
import type { RestoredFile } from "../lib/restored_record.ts";
import { type LocalFile, walkTree } from "../lib/tree.ts";
import { sha256Of, textBytes } from "./archive/examples.ts";
import { failWith, intercept, oldMtimeNs, type Pod, realFiles, rootName, writeFile } from "./pods.ts";
import { cacheError, exampleLayerName } from "./store/examples.ts";
import { type Bench, type Files, withBench } from "./workbench.ts";

/** A head that has these files; `replacements` says how often a path's was replaced. */
function baseOf(files: Files, replacements: Readonly<Record<string, number>> = {}): Base {
  const planned = Object.entries(files).map(([file, content]): [string, PlannedFile] => {
    const count = replacements[file];
    return [`${rootName}/${file}`, {
      path: `${rootName}/${file}`,
      size: content.length,
      mode: 0o644,
      mtime: "0",
      sha256: sha256Of(textBytes(content)),
      frame: 0,
      offset: 0,
      layer: exampleLayerName("a"),
      ...(count === undefined ? {} : { replacements: count }),
    }];
  });
  return { head: { generation: undefined, next: 1 }, layers: [], plan: new Map(planned), dropped: [] };
}

async function localFiles({ roots }: Pod): Promise<LocalFile[]> {
  return [...(await walkTree(realFiles, roots)).files.values()];
}

/** Says that these files were restored as they lie on the pod now, with these contents. */
async function restoredAs(pod: Pod, contents: Files): Promise<Map<string, RestoredFile>> {
  const restored = new Map<string, RestoredFile>();
  for (const [file, content] of Object.entries(contents)) {
    const stat = await realFiles.lstat(path.join(pod.dir, file));
    restored.set(`${rootName}/${file}`, { sha256: sha256Of(textBytes(content)), stat });
  }
  return restored;
}

function describe(added: readonly AddedFile[]): Record<string, number | undefined> {
  return Object.fromEntries(added.map((file) => [file.path.slice(rootName.length + 1), file.replacements]));
}

test("a path that the store has not is added; one that it has stays as it is there", () =>
  withBench(async ({ pod }) => {
    const saver = pod("saver", { "new": "new", "a/new": "new", "a/known": "this pod's" });
    const comparison = new Comparison(saver, new Map());
    const local = await localFiles(saver);
    const base = baseOf({ "a/known": "the store's", "elsewhere": "" });
    const added = await comparison.addedTo(base, local);
    assert.deepEqual(describe(added), { "new": undefined, "a/new": undefined });
    // They are the very files that were found.
    assert.ok(
      added.every((file) => local.some(({ place, stat }) => place === file.place && stat === file.stat)),
    );
    assert.equal(comparison.leftOut, false);
    assert.deepEqual(saver.notices, []);
    assert.deepEqual(describe(await comparison.addedTo(baseOf({}), local)), {
      "new": undefined,
      "a/new": undefined,
      "a/known": undefined,
    });
  }));

/** A restored file, what became of it and of the store's, and the count with which it is added; undefined if it is not. */
interface Rewrite {
  readonly what: string;
  /** What this pod restored; absent where it restored nothing. */
  readonly restored?: string;
  /** What is done to it afterwards. */
  readonly touch?: (file: string) => void;
  readonly store: string;
  readonly before?: number;
  readonly added?: number;
}

const rewrite = (content: string) => (file: string) =>
  writeFile(file, content, { mtimeNs: oldMtimeNs + 1_000_000_000n });

/** Writes other bytes, and sets the time back: only the time of change tells, once its clock has moved on. */
function rewriteInSecret(file: string): void {
  const { atime, mtime, ctimeMs } = fs.statSync(file);
  do {
    fs.writeFileSync(file, "v2");
    fs.utimesSync(file, atime, mtime);
  } while (Math.floor(fs.statSync(file).ctimeMs) === Math.floor(ctimeMs));
}

const rewrites: readonly Rewrite[] = [
  { what: "rewritten, by a new file", restored: "v1", touch: rewrite("v2"), store: "v1", added: 1 },
  {
    what: "rewritten in place",
    restored: "v1",
    touch: (file) => fs.writeFileSync(file, "v2"),
    store: "v1",
    added: 1,
  },
  {
    what: "appended to",
    restored: "v1",
    touch: (file) => fs.appendFileSync(file, "+"),
    store: "v1",
    added: 1,
  },
  { what: "emptied", restored: "v1", touch: (file) => fs.truncateSync(file), store: "v1", added: 1 },
  {
    what: "rewritten with its size and time as they were",
    restored: "v1",
    touch: rewriteInSecret,
    store: "v1",
    added: 1,
  },
  { what: "rewritten once more", restored: "v2", touch: rewrite("v3"), store: "v2", before: 1, added: 2 },
  { what: "the third time", restored: "v3", touch: rewrite("v4"), store: "v3", before: 2, added: 3 },
  { what: "a fourth time", restored: "v4", touch: rewrite("v5"), store: "v4", before: 3 },
  { what: "untouched", restored: "v1", store: "v1" },
  { what: "made anew with the same bytes", restored: "v1", touch: rewrite("v1"), store: "v1" },
  { what: "touched", restored: "v1", touch: (file) => fs.utimesSync(file, 1, 1), store: "v1" },
  {
    what: "rewritten, while another pod replaced it",
    restored: "v1",
    touch: rewrite("v2"),
    store: "v3",
    before: 1,
  },
  { what: "rewritten, as another pod did", restored: "v1", touch: rewrite("v2"), store: "v2", before: 1 },
  { what: "this pod's own", touch: rewrite("v2"), store: "v1" },
  { what: "gone", restored: "v1", touch: (file) => fs.rmSync(file), store: "v1" },
];

test("a file that this pod restored and that was rewritten replaces what the store has, three times at most", async () => {
  for (const { what, restored, touch, store, before, added } of rewrites) {
    await withBench(async ({ pod }) => {
      const saver = pod("saver", { model: restored ?? "v0" });
      const known = restored === undefined ? new Map() : await restoredAs(saver, { model: restored });
      touch?.(path.join(saver.dir, "model"));
      const comparison = new Comparison(saver, known);
      const base = baseOf({ model: store }, before === undefined ? {} : { model: before });
      const found = await comparison.addedTo(base, await localFiles(saver));
      assert.deepEqual(describe(found), added === undefined ? {} : { model: added }, what);
      assert.equal(comparison.leftOut, false);
    });
  }
});

test("the record of another path, or of other stats, says nothing", () =>
  withBench(async ({ pod }) => {
    const saver = pod("saver", { model: "v1", other: "v1" });
    const known = await restoredAs(saver, { model: "v1" });
    const [[, record] = assert.fail()] = known;
    for (const file of ["model", "other"]) fs.writeFileSync(path.join(saver.dir, file), "v2");
    const base = baseOf({ model: "v1", other: "v1" });
    const local = await localFiles(saver);
    assert.deepEqual(describe(await new Comparison(saver, known).addedTo(base, local)), { model: 1 });
    // Any of the four that differs has the file read.
    const { stat } = local.find((file) => file.path.endsWith("model")) ?? assert.fail();
    const changed = [{ ino: stat.ino + 1n }, { size: 3 }, { mtimeNs: stat.mtimeNs + 1n }, { ctimeNs: 0n }];
    for (const change of [{}, ...changed]) {
      const recorded = new Map([[`${rootName}/model`, { ...record, stat: { ...stat, ...change } }]]);
      const added = await new Comparison(saver, recorded).addedTo(base, local);
      assert.deepEqual(describe(added), Object.keys(change).length > 0 ? { model: 1 } : {});
    }
  }));

/** A pod that counts how often it opens a file. */
function counting({ world, pod }: Bench, files: Files): { saver: Pod; opened: () => number } {
  let opened = 0;
  const fs = intercept(world.fs, ({ name }) => {
    if (name === "open") opened++;
  });
  return { saver: pod("saver", files, { fs }), opened: () => opened };
}

test("a file is read once at most, however often the store is looked at, and an untouched one never", () =>
  withBench(async (bench) => {
    const { saver, opened } = counting(bench, { model: "v1", same: "s", own: "own", young: "y" });
    const known = await restoredAs(saver, { model: "v1", same: "s" });
    fs.writeFileSync(path.join(saver.dir, "model"), "v2");
    const local = await localFiles(saver);
    const comparison = new Comparison(saver, known);
    for (let look = 0; look < 3; look++) {
      const added = await comparison.addedTo(baseOf({ model: "v1", same: "s", own: "the store's" }), local);
      assert.deepEqual(describe(added), { young: undefined, model: 1 });
      assert.equal(opened(), 1);
    }
    // Nothing has to be read where the answer is no anyway.
    const other = new Comparison(saver, known);
    await other.addedTo(baseOf({ model: "another pod's", same: "s" }, { model: 1 }), local);
    await other.addedTo(baseOf({ model: "v1", same: "s" }, { model: 3 }), local);
    assert.equal(opened(), 1);
  }));

test("a rewritten file that cannot be read, or will not hold still, is for the next save", async () => {
  for (const code of ["EACCES", "ENOENT"]) {
    await withBench(async ({ world, pod }) => {
      const files = intercept(world.fs, ({ name }) => {
        if (name === "open") failWith(code)();
      });
      const saver = pod("saver", { model: "v1" }, { fs: files });
      const known = await restoredAs(saver, { model: "v1" });
      fs.writeFileSync(path.join(saver.dir, "model"), "v2");
      const local = await localFiles(saver);
      assert.deepEqual(await new Comparison(saver, known).addedTo(baseOf({ model: "v1" }), local), []);
    });
  }
});

test("a disk that fails while a rewritten file is read is local_io", () =>
  withBench(async ({ world, pod }) => {
    const files = intercept(world.fs, ({ name }) => {
      if (name === "open") failWith("EIO")();
    });
    const saver = pod("saver", { model: "v1" }, { fs: files });
    const known = await restoredAs(saver, { model: "v1" });
    fs.writeFileSync(path.join(saver.dir, "model"), "v2");
    const local = await localFiles(saver);
    await assert.rejects(
      new Comparison(saver, known).addedTo(baseOf({ model: "v1" }), local),
      cacheError("local_io", /model.*EIO/),
    );
  }));

const conflicts: readonly { store: Files; local: Files; added: readonly string[] }[] = [
  { store: { "a": "file" }, local: { "a/b": "", "a/c/d": "", "ab": "" }, added: ["ab"] },
  { store: { "a/b": "", "c": "" }, local: { "a": "file", "c": "" }, added: [] },
  { store: { "a/b/c": "" }, local: { "a/b": "file", "a/d": "" }, added: ["a/d"] },
  { store: { "a-b": "", "a.b": "" }, local: { "a": "file" }, added: ["a"] },
];

test("a path that would lie below a file of the store's, or the reverse, stays out, and that is said once", async () => {
  for (const { store, local: files, added } of conflicts) {
    await withBench(async ({ pod }) => {
      const saver = pod("saver", files);
      const comparison = new Comparison(saver, new Map());
      const local = await localFiles(saver);
      for (let look = 0; look < 2; look++) {
        assert.deepEqual(Object.keys(describe(await comparison.addedTo(baseOf(store), local))), added);
      }
      const out = Object.keys(files).filter((file) => !added.includes(file) && !(file in store));
      assert.deepEqual(
        saver.notices.toSorted(),
        out.map((file) =>
          `"${rootName}/${file}" is left out as the store has a file where this pod has a directory, or the reverse`
        ).toSorted(),
      );
      assert.equal(comparison.leftOut, out.length > 0);
    });
  }
});

test("what conflicts with one base is added to another, which has no such file", () =>
  withBench(async ({ pod }) => {
    const saver = pod("saver", { "a/b": "" });
    const comparison = new Comparison(saver, new Map());
    const local = await localFiles(saver);
    assert.deepEqual(await comparison.addedTo(baseOf({ a: "file" }), local), []);
    assert.deepEqual(describe(await comparison.addedTo(baseOf({}), local)), { "a/b": undefined });
  }));
