import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { hasArchive, listArchives, openArchive } from "../../lib/foreign/shelf.ts";
import { failWith, intercept, realFiles, withDirectory } from "../pods.ts";

const name = "cache_436c59e667a63097.latest.tar.gz";

test("listArchives() lists b10-transfer's finished archives, and nothing else that lies there", () =>
  withDirectory(async (dir) => {
    const others = [
      "cache_436c59e667a63097.incomplete.tar.gz",
      "copy_in.lock",
      "cache_x.latest.tar.gz",
      "notes.txt",
    ];
    for (const other of others) fs.writeFileSync(path.join(dir, other), "x");
    fs.mkdirSync(path.join(dir, "native"));
    fs.mkdirSync(path.join(dir, "cache_0000000000000000.latest.tar.gz"));
    fs.writeFileSync(path.join(dir, name), "12345");
    fs.utimesSync(path.join(dir, name), 1000, 1000);
    assert.deepEqual(await listArchives(realFiles, dir), [
      { name, key: "436c59e667a63097", bytes: 5, madeMs: 1_000_000 },
    ]);
    assert.equal(await hasArchive(realFiles, { storeDir: dir, name }), true);
  }));

test("a store that is not there has no archives; a share that fails is store_io", () =>
  withDirectory(async (dir) => {
    const absent = path.join(dir, "absent");
    assert.deepEqual(await listArchives(realFiles, absent), []);
    assert.equal(await hasArchive(realFiles, { storeDir: absent, name }), false);
    assert.equal(await openArchive(realFiles, { storeDir: absent, name }), undefined);
    fs.writeFileSync(path.join(dir, name), "12345");
    for (const call of ["list", "lstat"]) {
      const failing = intercept(realFiles, (made) => {
        if (made.name === call) failWith("EIO")();
      });
      await assert.rejects(listArchives(failing, dir), { code: "store_io" });
    }
    for (const call of ["lstat", "open", "stat"]) {
      const failing = intercept(realFiles, (made) => {
        if (made.name === call) failWith("EIO")();
      });
      await assert.rejects(openArchive(failing, { storeDir: dir, name }), { code: "store_io" }, call);
    }
  }));

test("an open archive knows when another file has its name, or it was written over", () =>
  withDirectory(async (dir) => {
    const file = path.join(dir, name);
    fs.writeFileSync(file, "12345");
    fs.utimesSync(file, 1000, 1000);
    await using archive = await openArchive(realFiles, { storeDir: dir, name });
    assert.ok(archive);
    assert.equal(archive.file.bytes, 5);
    assert.equal(Buffer.from(await archive.file.read(1, 3)).toString(), "234");
    assert.equal(await archive.isReplaced(), false);
    fs.utimesSync(file, 2000, 2000);
    assert.equal(await archive.isReplaced(), true);
    fs.utimesSync(file, 1000, 1000);
    assert.equal(await archive.isReplaced(), false);
    fs.writeFileSync(`${file}.new`, "12345");
    fs.utimesSync(`${file}.new`, 1000, 1000);
    fs.renameSync(`${file}.new`, file);
    assert.equal(await archive.isReplaced(), true);
    fs.rmSync(file);
    assert.equal(await archive.isReplaced(), false, "what is gone cannot be read anew");
  }));
