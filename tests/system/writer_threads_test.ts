/** The real threads, which are Bun's. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import type { FileBatch } from "../../lib/system.ts";
import { bun } from "../../lib/system/bun.ts";
import { realSystem } from "../../lib/system/real.ts";
import { writerThreads } from "../../lib/system/writer_threads.ts";
import { withDirectory } from "../pods.ts";

const mtimeNs = 1_234_567_890_123_456_789n;

function batchOf(files: Readonly<Record<string, string>>, mode = 0o640): FileBatch {
  const contents = Object.values(files).map((content) => Buffer.from(content));
  return {
    places: Object.keys(files).join("\0"),
    bytes: Uint8Array.from(Buffer.concat([...contents, Buffer.alloc(100)])),
    sizes: new Uint32Array(contents.map(({ length }) => length)),
    modes: new Uint16Array(contents.map(() => mode)),
    mtimesNs: new BigInt64Array(contents.map(() => mtimeNs)),
  };
}

test("on Deno there are no threads that write", { skip: bun !== undefined }, () => {
  assert.equal(realSystem().writerThreads, undefined);
});

describe("threads that write", { skip: bun === undefined }, () => {
  test("create files as the main thread does, and tell what they are", () =>
    withDirectory(async (dir) => {
      const threads = writerThreads(2);
      const names = (number: number) => ["", "x", "ä"].map((name) => path.join(dir, `${number} ${name}`));
      // More batches than threads.
      const versions = await Promise.all([0, 1, 2, 3, 4].map((number) =>
        threads.createFiles(batchOf(Object.fromEntries(names(number).map((name) => [name, `in ${name}`]))))
      ));
      for (const number of versions.keys()) {
        const found = names(number).map((name) => {
          assert.equal(fs.readFileSync(name, "utf8"), `in ${name}`);
          const { mode, ino, size, mtimeNs, ctimeNs } = fs.lstatSync(name, { bigint: true });
          assert.equal(Number(mode) & 0o7777, 0o640);
          return { ino, size: Number(size), mtimeNs, ctimeNs };
        });
        assert.deepEqual(versions[number], found);
        assert.ok(found.every((version) =>
          version.mtimeNs === mtimeNs
        ));
      }
    }));

  test("are free until each has two batches", () =>
    withDirectory(async (dir) => {
      const threads = writerThreads(1);
      const many = (number: number) =>
        batchOf(
          Object.fromEntries(
            Array.from({ length: 256 }, (_, at) => [path.join(dir, `${number} ${at}`), "x"]),
          ),
        );
      assert.ok(threads.isFree);
      const first = threads.createFiles(many(1));
      assert.ok(threads.isFree);
      const second = threads.createFiles(many(2));
      assert.ok(!threads.isFree);
      await Promise.all([first, second]);
      assert.ok(threads.isFree);
    }));

  test("replace nothing, a dangling symlink included, name the file, and create none after it in the batch", () =>
    withDirectory(async (dir) => {
      const at = (name: string) => path.join(dir, name);
      fs.writeFileSync(at("there"), "kept");
      fs.symlinkSync(at("nowhere"), at("symlink"));
      for (const taken of ["there", "symlink"]) {
        const threads = writerThreads(1);
        await assert.rejects(
          threads.createFiles(
            batchOf({ [at(`${taken} before`)]: "b", [at(taken)]: "t", [at(`${taken} after`)]: "a" }),
          ),
          (error) =>
            error instanceof Error && Reflect.get(error, "code") === "EEXIST" &&
            Reflect.get(error, "place") === at(taken),
        );
        // And it goes on with the next.
        await threads.createFiles(batchOf({ [at(`${taken} next`)]: "n" }));
      }
      assert.equal(fs.readFileSync(at("there"), "utf8"), "kept");
      assert.deepEqual(
        fs.readdirSync(dir).sort(),
        ["symlink", "symlink before", "symlink next", "there", "there before", "there next"],
      );
    }));
});
