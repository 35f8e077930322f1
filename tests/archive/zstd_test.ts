import assert from "node:assert/strict";
import { test } from "node:test";
import * as zlib from "node:zlib";
import fc from "fast-check";
import { describeFrame, maxWindowBytes, skippableFrame } from "../../lib/archive/frames.ts";
import { compressFrame, decompressFrame } from "../../lib/archive/zstd.ts";
import { CacheError } from "../../lib/errors.ts";
import { cacheError } from "../store/examples.ts";

const text = Buffer.from(
  "def kernel(x): return x + 1\n".repeat(20) + Array.from({ length: 60 }, (_, at) => at * at),
);

test("decompressFrame() gives back what compressFrame() was given", async () => {
  const sizes = [0, 1, 255, 256, 511, 512, 65_792, 1_000_000];
  for (const size of sizes) {
    const content = Uint8Array.from({ length: size }, (_, at) => (at * 31 + (at >> 8)) % 251);
    const decoded = await decompressFrame(await compressFrame(content), size);
    assert.equal(Buffer.compare(decoded, content), 0, `${size} bytes`);
  }
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (content) => {
      const decoded = await decompressFrame(await compressFrame(content), content.length);
      assert.deepEqual(Uint8Array.from(decoded), content);
    }),
    { numRuns: 30 },
  );
});

test("compressFrame() makes one frame as docs/format.md has it", async () => {
  for (const size of [0, 1, 512, 1_000_000]) {
    const frame = await compressFrame(Buffer.alloc(size, "ab"));
    const facts = describeFrame(frame);
    assert.equal(facts?.contentBytes, size);
    assert.equal(facts?.frameBytes, frame.length);
    assert.equal(facts?.hasChecksum, true);
    assert.equal(facts?.dictionaryId, 0);
    assert.ok((facts?.windowBytes ?? Infinity) <= maxWindowBytes);
  }
});

test("what compressFrame() makes is read by a decoder with default settings", async () => {
  const frame = await compressFrame(Buffer.alloc(1_000_000, "ab"));
  assert.equal(Buffer.compare(zlib.zstdDecompressSync(frame), Buffer.alloc(1_000_000, "ab")), 0);
});

test("decompressFrame() refuses a frame cut short at any length", async () => {
  const frame = await compressFrame(text);
  for (let length = 0; length < frame.length; length++) {
    await assert.rejects(
      () => decompressFrame(frame.subarray(0, length), text.length),
      cacheError("bad_layer", /^Cannot decode a frame of \d+ bytes as it is not one whole zstd frame/),
      `${length} bytes`,
    );
  }
});

test("decompressFrame() refuses a frame with any byte changed, or gives the same content", async () => {
  const frame = await compressFrame(text);
  let refused = 0;
  for (let at = 0; at < frame.length; at++) {
    for (const change of [0x01, 0x80, 0xff]) {
      const damaged = Uint8Array.from(frame);
      damaged[at] = (damaged[at] ?? 0) ^ change;
      try {
        const decoded = await decompressFrame(damaged, text.length);
        assert.equal(Buffer.compare(decoded, text), 0, `byte ${at} xor ${change}`);
      } catch (error) {
        assert.ok(error instanceof CacheError && error.code === "bad_layer", String(error));
        refused++;
      }
    }
  }
  // A window or an unused bit may say something else without harm.
  assert.ok(refused > frame.length * 2.5, `only ${refused} refused`);
});

test("decompressFrame() refuses what is not exactly one frame of exactly this size", async () => {
  const frame = await compressFrame(text);
  const size = text.length;
  const examples: readonly (readonly [Uint8Array, number, RegExp])[] = [
    [frame, size + 1, /it holds \d+ bytes, not \d+/],
    [frame, size - 1, /it holds \d+ bytes, not \d+/],
    [frame, 0, /it holds \d+ bytes, not 0/],
    [Buffer.concat([frame, new Uint8Array(1)]), size, /it ends after \d+ bytes/],
    [Buffer.concat([frame, frame]), size * 2, /it ends after/],
    [Buffer.concat([frame, skippableFrame(new Uint8Array(1))]), size, /it ends after/],
    [Buffer.concat([skippableFrame(new Uint8Array(1)), frame]), size, /not one whole zstd frame/],
    [new Uint8Array(0), 0, /not one whole zstd frame/],
    [text, size, /not one whole zstd frame/],
    [zlib.gzipSync(text), size, /not one whole zstd frame/],
  ];
  for (const [bytes, rawBytes, problem] of examples) {
    await assert.rejects(() => decompressFrame(bytes, rawBytes), cacheError("bad_layer", problem));
  }
});

const magic = [0x28, 0xb5, 0x2f, 0xfd];

test("decompressFrame() refuses what would take more memory than it may, before it decodes anything", async () => {
  const rawBlock = [0x01 | (256 << 3) & 0xff, (256 << 3) >> 8, 0, ...new Uint8Array(256)];
  const above = Uint8Array.from([...magic, 0x40, 18 << 3, 0, 0, ...rawBlock]);
  await assert.rejects(
    () => decompressFrame(above, 256),
    cacheError("bad_layer", /its window is above 134217728/),
  );
  const atLimit = Uint8Array.from([...magic, 0x40, 17 << 3, 0, 0, ...rawBlock]);
  assert.equal((await decompressFrame(atLimit, 256)).length, 256);
});

test("decompressFrame() refuses a frame that needs a dictionary", async () => {
  const frame = Uint8Array.from([...magic, 0x21, 9, 1, 0x09, 0, 0, 65]);
  await assert.rejects(() => decompressFrame(frame, 1), cacheError("bad_layer", /it needs a dictionary/));
});

test("decompressFrame() refuses a frame whose blocks hold more, or less, than its header says", async () => {
  // One run-length block of 100,000 bytes.
  const run = [((100_000 << 3) | 3) & 0xff, (100_000 >> 5) & 0xff, 100_000 >> 13, 65];
  for (const contentBytes of [1, 99_999, 100_001, 120_000]) {
    const size = new Uint8Array(new Uint32Array([contentBytes]).buffer);
    const frame = Uint8Array.from([...magic, 0xa0, ...size, ...run]);
    await assert.rejects(
      () => decompressFrame(frame, contentBytes),
      cacheError("bad_layer"),
      `${contentBytes}`,
    );
  }
  const size = new Uint8Array(new Uint32Array([100_000]).buffer);
  const right = await decompressFrame(Uint8Array.from([...magic, 0xa0, ...size, ...run]), 100_000);
  assert.equal(right.length, 100_000);
});

test("decompressFrame() keeps the decoder's own words as the cause", async () => {
  const frame = Uint8Array.from(await compressFrame(text));
  const last = frame.length - 1;
  frame[last] = (frame[last] ?? 0) ^ 1;
  await assert.rejects(() => decompressFrame(frame, text.length), (error) => {
    assert.ok(error instanceof CacheError);
    assert.match(error.message, /its content is damaged$/);
    assert.ok(error.cause instanceof Error);
    return true;
  });
});
