import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import * as os from "node:os";
import { test } from "node:test";
import { CacheError, errnoOf, errorCodes, messageOf, UsageError } from "../lib/errors.ts";

function named(name: string): Error {
  return Object.assign(new Error("refused"), { name });
}

const errnos: readonly (readonly [unknown, string | undefined])[] = [
  [Object.assign(new Error("no such file"), { code: "ENOENT" }), "ENOENT"],
  [Object.assign(new Error("argument list too long"), { code: "E2BIG" }), "E2BIG"],
  [named("NotCapable"), "EPERM"], // Deno's permissions: no code
  [Object.assign(named("NotCapable"), { code: "EACCES" }), "EPERM"],
  [new Error("ENOENT: only in the text"), undefined],
  [Object.assign(new Error("node's own"), { code: "ERR_INVALID_ARG_TYPE" }), undefined],
  [Object.assign(new Error("a number"), { code: 2 }), undefined],
  [new CacheError("store_io", "the share failed"), undefined],
  [{ code: "ENOENT" }, undefined],
  ["ENOENT", undefined],
  [undefined, undefined],
  [null, undefined],
];

test("errnoOf() names a file-system failure, reads a refusal by Deno as EPERM, and nothing else", () => {
  for (const [error, errno] of errnos) assert.equal(errnoOf(error), errno, String(error));
});

test("errnoOf() reads what this runtime's own file system throws", async () => {
  const tmp = os.tmpdir();
  const failures: readonly (readonly [() => Promise<unknown>, string])[] = [
    [() => fs.stat(`${tmp}/b10-is-not-there-4711`), "ENOENT"],
    [() => fs.mkdir(tmp), "EEXIST"],
    [() => fs.readFile(tmp), "EISDIR"],
  ];
  for (const [act, errno] of failures) {
    await assert.rejects(act, (error) => {
      assert.equal(errnoOf(error), errno);
      return true;
    });
  }
});

test("CacheError keeps its code, its message and its cause", () => {
  const cause = new Error("EIO");
  const error = new CacheError("store_io", "Cannot read the share", { cause });
  assert.ok(error instanceof Error);
  assert.equal(error.name, "CacheError");
  assert.equal(error.code, "store_io");
  assert.equal(error.message, "Cannot read the share");
  assert.equal(error.cause, cause);
});

test("UsageError is no CacheError: it has an exit status of its own", () => {
  const error = new UsageError("unknown command");
  assert.equal(error.name, "UsageError");
  assert.ok(!(error instanceof CacheError));
});

test("errorCodes are distinct, and safe as a word of JSON, shell and Python", () => {
  assert.equal(new Set(errorCodes).size, errorCodes.length);
  for (const code of errorCodes) assert.match(code, /^[a-z]+(_[a-z]+)*$/);
});

test("messageOf() is one line of whatever was thrown", () => {
  assert.equal(messageOf(new CacheError("no_space", "the disk is full")), "the disk is full");
  assert.equal(messageOf("a string"), "a string");
  assert.equal(messageOf(undefined), "undefined");
});
