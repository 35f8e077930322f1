import assert from "node:assert/strict";
import { test } from "node:test";
import * as zlib from "node:zlib";
import { gunzip, GzipRule } from "../../lib/foreign/gunzip.ts";

async function* pieces(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.slice(at, at + size));
}

async function decoded(stored: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of gunzip(stored)) all.push(piece);
  return Buffer.concat(all);
}

const content = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * at) % 251));
const stored = zlib.gzipSync(content);

test("gunzip() decodes one stream, and several that follow one another", async () => {
  assert.deepEqual(await decoded(pieces(stored)), content);
  assert.deepEqual(
    await decoded(pieces(Buffer.concat([stored, stored]))),
    Buffer.concat([content, content]),
  );
});

test("gunzip() refuses a stream that ends early, wherever it does", async () => {
  for (const length of [0, 1, 9, 10, 11, stored.length / 2, stored.length - 9, stored.length - 1]) {
    await assert.rejects(decoded(pieces(stored.subarray(0, length))), GzipRule, `${length} bytes`);
  }
});

test("gunzip() refuses a stream with a flipped bit, wherever it is", async () => {
  for (const at of [0, 2, 500, stored.length - 8, stored.length - 1]) {
    const flipped = Buffer.from(stored);
    flipped[at] = (flipped[at] ?? 0) ^ 0x10;
    await assert.rejects(decoded(pieces(flipped)), GzipRule, `byte ${at}`);
  }
});

test("gunzip() refuses what is no gzip, and what follows one", async () => {
  await assert.rejects(decoded(pieces(Buffer.from("plain text, and long enough for a header"))), GzipRule);
  await assert.rejects(decoded(pieces(Buffer.concat([stored, Buffer.from("garbage")]))), GzipRule);
});

test("what the pieces throw passes through", async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(stored.slice(0, 500));
    throw new Error("the share is gone");
  }
  await assert.rejects(decoded(failing()), { message: "the share is gone" });
});

test("whoever stops reading ends the reading of the pieces", async () => {
  let isClosed = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield* pieces(stored);
    } finally {
      isClosed = true;
    }
  }
  for await (const piece of gunzip(endless())) {
    assert.ok(piece.length > 0);
    break;
  }
  assert.ok(isClosed);
});
