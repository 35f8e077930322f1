import assert from "node:assert/strict";
import { test } from "node:test";
import { leastReleasedBytes, release, reusedMemory } from "../lib/memory.ts";

test("what is released is empty, in every view; what may be of a pool stays", () => {
  const large = new Uint8Array(leastReleasedBytes);
  const view = large.subarray(10);
  release(large);
  assert.deepEqual([large.length, view.length], [0, 0]);
  const small = Buffer.from("of a pool");
  release(small);
  assert.equal(small.toString(), "of a pool");
});

test("memory is used again for what is not larger, and given back for what is", () => {
  const allocate = reusedMemory();
  const first = allocate(leastReleasedBytes);
  const second = allocate(10);
  assert.equal(second.buffer, first.buffer);
  assert.equal(second.length, 10);
  const larger = allocate(leastReleasedBytes + 1);
  assert.equal(larger.length, leastReleasedBytes + 1);
  assert.equal(larger.buffer.byteLength, leastReleasedBytes + 1, "no more than was asked for");
  assert.deepEqual([first.length, second.length], [0, 0]);
});
