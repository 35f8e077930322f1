import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { NewFile, openLocalFile } from "../lib/local_file.ts";
import {
  atEveryCall,
  countingRandom,
  failWith,
  intercept,
  readFiles,
  realFiles,
  withDirectory,
} from "./pods.ts";

const random = countingRandom();

async function write(files: typeof realFiles, file: string, replace = false): Promise<void> {
  await using created = await NewFile.create({ fs: files, random }, file);
  await created.append(Buffer.from("new "));
  await created.append(Buffer.from("content"));
  await created.publish({ replace });
}

test("a new file appears whole, with the mode of its directory, and leaves nothing beside it", () =>
  withDirectory(async (dir) => {
    fs.chmodSync(dir, 0o2775);
    await write(realFiles, path.join(dir, "file"));
    assert.deepEqual(readFiles(dir), { file: "new content" });
    assert.equal(fs.statSync(path.join(dir, "file")).mode & 0o7777, 0o664);
    fs.chmodSync(dir, 0o700);
    await write(realFiles, path.join(dir, "private"));
    assert.equal(fs.statSync(path.join(dir, "private")).mode & 0o7777, 0o600);
  }));

test("until then it has a name that b10-transfer neither lists nor sweeps", () =>
  withDirectory(async (dir) => {
    await using created = await NewFile.create({ fs: realFiles, random }, path.join(dir, "file"));
    await created.append(Buffer.from("half"));
    const [name = ""] = fs.readdirSync(dir);
    assert.match(name, /^\.b10-[0-9a-f]{32}\.export$/);
  }));

test("a name that is taken stays as it is, unless it may be replaced", () =>
  withDirectory(async (dir) => {
    const file = path.join(dir, "file");
    fs.writeFileSync(file, "old");
    await assert.rejects(write(realFiles, file), {
      code: "local_io",
      message: `Cannot write "${file}" as it is there already; --force replaces it`,
    });
    assert.deepEqual(readFiles(dir), { file: "old" });
    await write(realFiles, file, true);
    assert.deepEqual(readFiles(dir), { file: "new content" });
  }));

test("a failure at any call leaves the old content or the new one, and nothing beside it", () =>
  withDirectory(async (dir) => {
    const file = path.join(dir, "file");
    await atEveryCall(async (point) => {
      fs.writeFileSync(file, "old");
      const failing = intercept(realFiles, point.once(failWith("ENOSPC")));
      let isWritten = true;
      try {
        await write(failing, file, true);
      } catch (error) {
        isWritten = false;
        assert.equal(Reflect.get(Object(error), "code"), "no_space");
      }
      const { file: content, ...rest } = readFiles(dir);
      assert.equal(content, isWritten ? "new content" : "old");
      // Only where removing it is what failed.
      assert.ok(Object.keys(rest).length === 0 || point.reached?.name === "unlink");
      for (const name of Object.keys(rest)) fs.rmSync(path.join(dir, name));
    });
  }));

test("openLocalFile() refuses what is absent or no regular file, and says so", () =>
  withDirectory(async (dir) => {
    await assert.rejects(openLocalFile(realFiles, path.join(dir, "absent")), {
      code: "local_io",
      message: `Cannot read "${dir}/absent" on this pod: ENOENT`,
    });
    await assert.rejects(openLocalFile(realFiles, dir), {
      code: "local_io",
      message: `Cannot read "${dir}" on this pod as it is not a regular file`,
    });
    fs.writeFileSync(path.join(dir, "file"), "12345");
    await using file = await openLocalFile(realFiles, path.join(dir, "file"));
    assert.equal(file.bytes, 5);
    assert.equal(Buffer.from(await file.read(0, 5)).toString(), "12345");
    await assert.rejects(file.read(3, 3), {
      code: "bad_layer",
      message: `Cannot use "${dir}/file" as it ends at byte 5`,
    });
  }));
