import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { replaceFile } from "../lib/replace_file.ts";
import type { FileSystem } from "../lib/system.ts";
import { atEveryCall, countingRandom, failWith, intercept, realFiles, withDirectory } from "./pods.ts";

const random = countingRandom();
const nowMs = Date.UTC(2026, 0, 1);

function replace(file: string, text: string, files: FileSystem = realFiles): Promise<void> {
  return replaceFile({ fs: files, random }, file, { text, mode: 0o640, nowMs });
}

test("the file is there, whole, with its mode and its time, and nothing beside it", () =>
  withDirectory(async (dir) => {
    const file = path.join(dir, "metrics.prom");
    for (const text of ["", "one\n", "ä\u0000\n".repeat(100_000), "short"]) {
      await replace(file, text);
      assert.equal(fs.readFileSync(file, "utf8"), text);
      assert.equal(fs.statSync(file).mode & 0o7777, 0o640);
      assert.equal(fs.statSync(file).mtimeMs, nowMs);
      assert.deepEqual(fs.readdirSync(dir), ["metrics.prom"]);
    }
  }));

test("who reads meanwhile finds the old one or the new one, at every call", () =>
  withDirectory(async (dir) => {
    const file = path.join(dir, "metrics.prom");
    const calls = await atEveryCall(async (point) => {
      fs.writeFileSync(file, "old");
      await replace(
        file,
        "new",
        intercept(
          realFiles,
          point.once(() => {
            assert.equal(fs.readFileSync(file, "utf8"), "old");
          }),
        ),
      );
      assert.equal(fs.readFileSync(file, "utf8"), "new");
    });
    assert.deepEqual(calls, ["createFileSync", "rename"]);
  }));

test("whichever call fails, what had the name is as it was, nothing is left beside it, and the error is the disk's", () =>
  withDirectory(async (dir) => {
    const file = path.join(dir, "metrics.prom");
    for (const old of ["old", undefined]) {
      await atEveryCall(async (point) => {
        if (old === undefined) fs.rmSync(file, { force: true });
        else fs.writeFileSync(file, old);
        const replacing = replace(file, "new", intercept(realFiles, point.once(failWith("ENOSPC"))));
        const code = await replacing.then(() => undefined, (error) => error.code);
        assert.equal(code, point.reached ? "ENOSPC" : undefined);
        const names = point.reached && old === undefined ? [] : ["metrics.prom"];
        assert.deepEqual(fs.readdirSync(dir), names);
        if (old !== undefined) assert.equal(fs.readFileSync(file, "utf8"), point.reached ? "old" : "new");
      });
    }
  }));

test("where what was half done cannot be removed the first error is the one that is thrown", () =>
  withDirectory(async (dir) => {
    const files = intercept(realFiles, ({ name }) => {
      if (name === "rename") failWith("EACCES")();
      if (name === "unlink") failWith("EIO")();
    });
    await assert.rejects(replace(path.join(dir, "metrics.prom"), "new", files), { code: "EACCES" });
  }));

test("a symlink of that name is replaced, and what it leads to stays as it is", () =>
  withDirectory(async (dir) => {
    const [file, canary] = [path.join(dir, "metrics.prom"), path.join(dir, "canary")];
    fs.writeFileSync(canary, "alive");
    fs.symlinkSync(canary, file);
    await replace(file, "new");
    assert.equal(fs.readFileSync(canary, "utf8"), "alive");
    assert.ok(fs.lstatSync(file).isFile());
  }));

test("many that write one file at once: it is one of theirs, whole", () =>
  withDirectory(async (dir) => {
    const file = path.join(dir, "metrics.prom");
    const texts = Array.from({ length: 20 }, (_, at) => String(at).repeat(10_000));
    await Promise.all(texts.map((text) => replace(file, text)));
    assert.ok(texts.includes(fs.readFileSync(file, "utf8")));
    assert.deepEqual(fs.readdirSync(dir), ["metrics.prom"]);
  }));

test("a directory that is not there is ENOENT", () =>
  withDirectory(async (dir) => {
    await assert.rejects(replace(path.join(dir, "absent/metrics.prom"), "new"), { code: "ENOENT" });
  }));
