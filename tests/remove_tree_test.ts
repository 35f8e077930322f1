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
  return only<FileSystem>("fs", { list: () => Promise.resolve([...entries]), ...members });
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
