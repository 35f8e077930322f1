import assert from "node:assert/strict";
import { test } from "node:test";
import { areEmpty, missingFiles } from "../lib/missing_files.ts";
import type { DirectoryEntry, FileSystem } from "../lib/system.ts";
import { fakeSystem, only } from "./fake_system.ts";

/** A file system whose directories hold what is said. */
function world(directories: Readonly<Record<string, readonly DirectoryEntry[]>>) {
  const listed: string[] = [];
  const notices: string[] = [];
  const fs = only<FileSystem>("fs", {
    list: (path) => {
      listed.push(path);
      const entries = directories[path];
      return entries
        ? Promise.resolve([...entries])
        : Promise.reject(Object.assign(new Error("gone"), { code: "ENOENT" }));
    },
  });
  const operation = { system: fakeSystem({ fs }), notice: (text: string) => notices.push(text) };
  const missing = async (...places: string[]) =>
    (await missingFiles(operation, places.map((below) => ({ root: "/r", below })))).map(({ below }) => below);
  return { fs, missing, listed, notices };
}

test("missingFiles() is what has nothing in its place, each directory listed once", async () => {
  const { missing, listed, notices } = world({
    "/r": [{ name: "a", kind: "directory" }, { name: "top", kind: "file" }],
    "/r/a": [{ name: "x", kind: "file" }, { name: "link", kind: "symlink" }],
  });
  assert.deepEqual(await missing("a/x", "a/link", "a/new", "top", "b/c/new", "b/c/other"), [
    "a/new",
    "b/c/new",
    "b/c/other",
  ]);
  assert.deepEqual(listed, ["/r", "/r/a"]);
  assert.deepEqual(notices, []);
});

test("missingFiles() leaves out, with a notice, what belongs below a file or a symlink", async () => {
  const { missing, notices } = world({
    "/r": [{ name: "file", kind: "file" }, { name: "link", kind: "symlink" }],
  });
  assert.deepEqual(await missing("file/x", "link/y", "z"), ["z"]);
  assert.deepEqual(notices, [
    '"/r/file/x" is left out: its directory is something else here',
    '"/r/link/y" is left out: its directory is something else here',
  ]);
});

test("missingFiles() takes a root that is not there for an empty one", async () => {
  assert.deepEqual(await world({}).missing("a/x", "y"), ["a/x", "y"]);
});

test("missingFiles() is everything of an empty root, which is all that is listed", async () => {
  const { missing, listed } = world({ "/r": [] });
  assert.deepEqual(await missing("a/x", "a/b/y", "z"), ["a/x", "a/b/y", "z"]);
  assert.deepEqual(listed, ["/r"]);
});

test("areEmpty() is whether no directory has anything, or is there at all", async () => {
  const { fs } = world({ "/empty": [], "/full": [{ name: "x", kind: "file" }] });
  assert.equal(await areEmpty(fs, ["/empty", "/gone"]), true);
  assert.equal(await areEmpty(fs, ["/empty", "/full"]), false);
  assert.equal(await areEmpty(fs, []), true);
});
