import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { nodeCrypto, sha256, sha256Hex } from "../lib/crypto.ts";

function expected(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

test("sha256Hex() is SHA-256 of bytes, and of a text's UTF-8", () => {
  assert.equal(sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  fc.assert(fc.property(fc.oneof(fc.uint8Array(), fc.string({ unit: "grapheme" })), (data) => {
    assert.equal(sha256Hex(data), expected(data));
  }));
});

test("sha256() is the same of bytes in pieces, views of larger memory included", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ minLength: 2 })), (pieces) => {
    const digest = sha256();
    for (const piece of pieces) digest.update(piece.subarray(1, -1));
    const whole = Buffer.concat(pieces.map((piece) => piece.subarray(1, -1)));
    assert.equal(digest.digest("hex"), expected(whole));
  }));
});

test("nodeCrypto() is node:crypto", () => {
  assert.equal(nodeCrypto().createHash, createHash);
});
