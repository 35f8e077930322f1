import assert from "node:assert/strict";
import { test } from "node:test";
import { CacheError } from "../lib/errors.ts";
import { localError } from "../lib/local_error.ts";
import { failure } from "./pods.ts";

test("localError() tells a full disk from a broken one, and leaves a CacheError as it is", () => {
  for (const code of ["ENOSPC", "EDQUOT"]) {
    assert.equal(localError("write", "/tmp/x", failure(code)).code, "no_space");
  }
  const cause = failure("EROFS");
  const error = localError("write", "/tmp/x", cause);
  assert.equal(error.code, "local_io");
  assert.equal(error.message, 'Cannot write "/tmp/x" on this pod: EROFS');
  assert.equal(error.cause, cause);
  assert.match(localError("write", "/tmp/x", new Error("odd")).message, /: odd$/);
  const own = new CacheError("bad_layer", "damaged");
  assert.equal(localError("write", "/tmp/x", own), own);
});
