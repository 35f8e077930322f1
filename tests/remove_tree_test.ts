import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { removeContents, removeTree } from "../lib/remove_tree.ts";
import type { DirectoryEntry, FileSystem } from "../lib/system.ts";
import { realSystem } from "../lib/system/real.ts";
import { only } from "./fake_system.ts";

const { fs: files } = realSystem();

interface Place {
  readonly dir: string;
  /** Outside of `dir`; symlinks in it lead here. */
  readonly outside: string;
}

async function withPlace(act: (place: Place) => Promise<void>): Promise<void> {
  const base = await fs.mkdtemp(path.join(os.tmpdir(), "b10-remove-"));
  try {
    const place = { dir: path.join(base, "dir"), outside: path.join(base, "outside") };
    await fs.mkdir(path.join(place.dir, "a/b"), { recursive: true });
    await fs.writeFile(path.join(place.dir, "a/b/file"), "content");
    await fs.writeFile(path.join(place.dir, ".hidden"), "content");
    await fs.mkdir(place.outside);
    await fs.writeFile(path.join(place.outside, "canary"), "alive");
    await act(place);
  } finally {
    await fs.rm(base, { recursive: true });
  }
}

async function isThere(entry: string): Promise<boolean> {
  return await fs.lstat(entry).then(() => true, () => false);
}

test("removeTree() removes a directory with all that is in it, and counts the files", () =>
  withPlace(async ({ dir }) => {
    assert.equal(await removeTree(files, dir), 2);
    assert.equal(await isThere(dir), false);
  }));

test("removeContents() leaves the directory itself standing", () =>
  withPlace(async ({ dir }) => {
    assert.equal(await removeContents(files, dir), 2);
    assert.deepEqual(await fs.readdir(dir), []);
  }));

test("neither follows a symlink: what it leads to survives", () =>
  withPlace(async ({ dir, outside }) => {
    await fs.symlink(outside, path.join(dir, "a/to_directory"));
    await fs.symlink(path.join(outside, "canary"), path.join(dir, "a/b/to_file"));
    await fs.symlink("/nowhere/at/all", path.join(dir, "dangling"));
    await fs.symlink(dir, path.join(dir, "a/loop"));
    assert.equal(await removeContents(files, dir), 6);
    assert.deepEqual(await fs.readdir(dir), []);
    assert.equal(await fs.readFile(path.join(outside, "canary"), "utf8"), "alive");
  }));

/** The real file system, where `act` comes in between, once the directory `at` has been listed. */
function afterListing(at: string, act: () => Promise<void>): FileSystem {
  let isDue = true;
  return {
    ...files,
    list: async (dir) => {
      const entries = await files.list(dir);
      if (dir === at && isDue) {
        isDue = false;
        await act();
      }
      return entries;
    },
  };
}

/** Puts a symlink to `outside` in the place of `dir`. */
async function replace(dir: string, outside: string): Promise<void> {
  await fs.rename(dir, `${dir}.away`);
  await fs.symlink(outside, dir);
}

for (const name of ["", "a", "a/b"]) {
  test(`what becomes a symlink once it was listed is not emptied: ${name || "the directory itself"}`, () =>
    withPlace(async ({ dir, outside }) => {
      const listed = path.join(dir, name);
      await fs.writeFile(path.join(listed, "canary"), "a twin's");
      const raced = afterListing(listed, () => replace(listed, outside));
      await assert.rejects(() => removeContents(raced, dir), /has become a symlink/);
      assert.equal(await fs.readFile(path.join(outside, "canary"), "utf8"), "alive");
    }));
}

test("what becomes a symlink while what lies below it is removed is not emptied", () =>
  withPlace(async ({ dir, outside }) => {
    await fs.mkdir(path.join(outside, "b"));
    await fs.writeFile(path.join(outside, "b/file"), "alive");
    await fs.writeFile(path.join(dir, "a/canary"), "a twin's");
    const raced = afterListing(path.join(dir, "a/b"), () => replace(path.join(dir, "a"), outside));
    await assert.rejects(() => removeContents(raced, dir), /has become a symlink/);
    assert.equal(await fs.readFile(path.join(outside, "canary"), "utf8"), "alive");
    assert.equal(await fs.readFile(path.join(outside, "b/file"), "utf8"), "alive");
  }));

test("what becomes a symlink while its many files are removed loses 64 of them at most", async () => {
  const entries = Array.from({ length: 300 }, (_, at): DirectoryEntry => ({ name: `${at}`, kind: "file" }));
  const removed: string[] = [];
  const fs = directoryOf(entries, {
    realPath: (dir) => Promise.resolve(removed.length < 100 ? dir : "/elsewhere"),
    unlink: (file) => Promise.resolve(void removed.push(file)),
  });
  await assert.rejects(() => removeContents(fs, "/tmp/dir"), /"\/tmp\/dir" has become a symlink/);
  assert.equal(removed.length, 128);
});

test("removeContents() keeps the one file that it is told to, and no other of that name", () =>
  withPlace(async ({ dir }) => {
    await fs.writeFile(path.join(dir, "a/.hidden"), "content");
    assert.equal(await removeContents(files, dir, { keep: ".hidden" }), 2);
    assert.deepEqual(await fs.readdir(dir), [".hidden"]);
  }));

test("a hard link's other name survives", () =>
  withPlace(async ({ dir, outside }) => {
    await fs.link(path.join(outside, "canary"), path.join(dir, "linked"));
    assert.equal(await removeTree(files, dir), 3);
    assert.equal(await fs.readFile(path.join(outside, "canary"), "utf8"), "alive");
  }));

test("a directory that is not there has no files, and is no error", () =>
  withPlace(async ({ dir }) => {
    assert.equal(await removeTree(files, path.join(dir, "not/there")), 0);
    assert.equal(await removeContents(files, path.join(dir, "not/there")), 0);
  }));

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function directoryOf(entries: readonly DirectoryEntry[], members: Partial<FileSystem>): FileSystem {
  return only<FileSystem>("fs", {
    list: () => Promise.resolve([...entries]),
    realPath: (dir) => Promise.resolve(dir),
    ...members,
  });
}

test("what others remove meanwhile is no error", async () => {
  const gone = () => Promise.reject(failure("ENOENT"));
  const fs = directoryOf([{ name: "file", kind: "file" }], { unlink: gone, rmdir: gone });
  assert.equal(await removeTree(fs, "/tmp/dir"), 1);
});

test("any other failure is passed on", async () => {
  for (const code of ["EACCES", "EBUSY", "ENOTEMPTY"]) {
    const refuse = () => Promise.reject(failure(code));
    const unlinkFails = directoryOf([{ name: "file", kind: "file" }], { unlink: refuse });
    await assert.rejects(() => removeTree(unlinkFails, "/tmp/dir"), { code });
    await assert.rejects(() => removeTree(directoryOf([], { rmdir: refuse }), "/tmp/dir"), { code });
  }
});
