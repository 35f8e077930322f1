import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { changedSince, isUnchanged, takeSnapshot } from "../lib/snapshot.ts";
import { failWith, intercept, realFiles, rootName, withDirectory, writeFiles } from "./pods.ts";
import { type FileFacts, snapshotOf } from "./snapshots.ts";
import { cacheError } from "./store/examples.ts";

const facts: FileFacts = { size: 100, ino: 7n, mtimeNs: 5n, ctimeNs: 6n };
const before = snapshotOf({ "vllm/a": facts, "vllm/b": facts });

test("a file that is as it was has not changed", () => {
  const again = snapshotOf({ "vllm/b": facts, "vllm/a": facts });
  assert.deepEqual(changedSince(before, again), []);
  assert.ok(isUnchanged(before, again));
});

const changes: Readonly<Record<string, FileFacts>> = {
  "another size": { ...facts, size: 101 },
  "written anew in its place": { ...facts, mtimeNs: 9n },
  "written anew with its old time": { ...facts, ctimeNs: 9n },
  "replaced by another": { ...facts, ino: 8n },
};

for (const [what, changed] of Object.entries(changes)) {
  test(`a file is a changed one by each fact alone: ${what}`, () => {
    const after = snapshotOf({ "vllm/a": facts, "vllm/b": changed });
    assert.deepEqual(changedSince(before, after), [{ path: "vllm/b", size: changed.size }]);
    assert.ok(!isUnchanged(before, after));
  });
}

test("a new file is a change, with its size; one that is gone is none of the new ones, and a change all the same", () => {
  const more = snapshotOf({ "vllm/a": facts, "vllm/b": facts, "triton/c": { size: 3 } });
  assert.deepEqual(changedSince(before, more), [{ path: "triton/c", size: 3 }]);
  assert.ok(!isUnchanged(before, more));
  const less = snapshotOf({ "vllm/a": facts });
  assert.deepEqual(changedSince(before, less), []);
  assert.ok(!isUnchanged(before, less));
  const other = snapshotOf({ "vllm/a": facts, "vllm/c": facts });
  assert.ok(!isUnchanged(before, other));
});

test("a snapshot is of every root's cache content, and of nothing else; a root that is not there is empty", () =>
  withDirectory(async (dir) => {
    const [one, two] = [path.join(dir, "one"), path.join(dir, "two")];
    writeFiles(one, { "a/kernel": "12345", "locks/x": "", "half.tmp": "", "tmp.1/half": "" });
    writeFiles(two, { graph: "123" });
    const roots = [
      { name: rootName, dir: one },
      { name: "vllm", dir: two },
      { name: "triton", dir: path.join(dir, "absent") },
    ];
    const first = await takeSnapshot(realFiles, roots);
    assert.deepEqual([...first].map(([file, { size }]) => [file, size]), [
      [`${rootName}/a/kernel`, 5],
      ["vllm/graph", 3],
    ]);
    assert.ok(isUnchanged(first, await takeSnapshot(realFiles, roots)));
    // As long, and as old, and another: written beside it, as programs do that want it whole, and renamed.
    const stat = fs.statSync(path.join(two, "graph"));
    fs.writeFileSync(path.join(dir, "new"), "456");
    fs.utimesSync(path.join(dir, "new"), stat.atimeMs / 1000, stat.mtimeMs / 1000);
    fs.renameSync(path.join(dir, "new"), path.join(two, "graph"));
    const second = await takeSnapshot(realFiles, roots);
    assert.deepEqual(changedSince(first, second), [{ path: "vllm/graph", size: 3 }]);
  }));

test("caches that cannot be listed are local_io", () =>
  withDirectory(async (dir) => {
    const failing = intercept(realFiles, ({ name }) => name === "list" && failWith("EIO")());
    await assert.rejects(takeSnapshot(failing, [{ name: rootName, dir }]), cacheError("local_io"));
  }));
