import assert from "node:assert/strict";
import { test } from "node:test";
import * as zlib from "node:zlib";
import fc from "fast-check";
import {
  describeFrame,
  type FrameFacts,
  skippableContent,
  skippableFrame,
} from "../../lib/archive/frames.ts";
import { compressFrame } from "../../lib/archive/zstd.ts";

const { constants } = zlib;

/** Content that zstd stores in raw, run-length and compressed blocks, several of them. */
const mixed = Buffer.concat([
  Buffer.alloc(300_000, 7),
  Buffer.from(Array.from({ length: 2000 }, (_, at) => (at * at * 31 + at * 7) % 251)),
  Buffer.from("def kernel(x): return x + 1\n".repeat(200)),
]);

const sizes = [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_791, 65_792, 70_000, 300_000];

test("describeFrame() tells size, window, checksum and end of frames of every size", async () => {
  for (const size of sizes) {
    const frame = await compressFrame(mixed.subarray(0, size));
    const facts = describeFrame(frame);
    assert.ok(facts, `${size} bytes`);
    assert.equal(facts.contentBytes, size);
    assert.equal(facts.frameBytes, frame.length);
    assert.equal(facts.hasChecksum, true);
    assert.equal(facts.dictionaryId, 0);
    assert.ok(facts.windowBytes >= size, `a window of ${facts.windowBytes} for ${size} bytes`);
  }
});

test("describeFrame() looks at one frame, whatever follows it and wherever it lies", async () => {
  const frame = await compressFrame(mixed);
  const facts = describeFrame(frame);
  assert.deepEqual(describeFrame(Buffer.concat([frame, frame])), facts);
  assert.deepEqual(describeFrame(Buffer.concat([frame, new Uint8Array(100)])), facts);
  assert.deepEqual(describeFrame(Buffer.concat([new Uint8Array(3), frame]).subarray(3)), facts);
});

test("describeFrame() knows a frame cut short at any length", async () => {
  for (const content of [mixed, mixed.subarray(0, 1), mixed.subarray(0, 0)]) {
    const frame = await compressFrame(content);
    for (let length = 0; length < frame.length; length++) {
      assert.equal(describeFrame(frame.subarray(0, length)), undefined, `${length} of ${frame.length} bytes`);
    }
  }
});

test("describeFrame() takes no frame that keeps its content size to itself", () => {
  const frame = zlib.zstdCompressSync(mixed, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });
  assert.equal(describeFrame(frame), undefined);
});

test("describeFrame() sees that there is no checksum", () => {
  const frame = zlib.zstdCompressSync(mixed, {
    pledgedSrcSize: mixed.length,
    params: { [constants.ZSTD_c_contentSizeFlag]: 1, [constants.ZSTD_c_checksumFlag]: 0 },
  });
  assert.equal(describeFrame(frame)?.hasChecksum, false);
});

const magic = [0x28, 0xb5, 0x2f, 0xfd];
/** The last block, raw and empty. */
const end = [0x01, 0x00, 0x00];

/** RFC 8878, 3.1.1.1: frames written by hand. */
const byHand:
  readonly (readonly [what: string, bytes: readonly number[], facts: Partial<FrameFacts> | undefined])[] = [
    ["a single segment of 1 size byte", [0x20, 5, ...end], { contentBytes: 5, windowBytes: 5 }],
    ["2 size bytes, less 256", [0x60, 1, 1, ...end], { contentBytes: 513, windowBytes: 513 }],
    ["4 size bytes", [0xa0, 1, 2, 3, 4, ...end], { contentBytes: 0x04030201 }],
    ["8 size bytes", [0xe0, 1, 0, 0, 0, 0, 1, 0, 0, ...end], { contentBytes: 2 ** 40 + 1 }],
    ["the smallest window", [0x40, 0x00, 0, 0, ...end], { contentBytes: 256, windowBytes: 1024 }],
    ["a window of 2^27", [0x40, 17 << 3, 0, 0, ...end], { windowBytes: 2 ** 27 }],
    ["a window with a mantissa", [0x40, (10 << 3) | 3, 0, 0, ...end], { windowBytes: 2 ** 20 + 3 * 2 ** 17 }],
    ["the largest window", [0x40, 0xff, 0, 0, ...end], { windowBytes: 2 ** 41 + 7 * 2 ** 38 }],
    ["a dictionary of 1 byte", [0x21, 9, 5, ...end], { dictionaryId: 9, contentBytes: 5 }],
    ["a dictionary of 2 bytes", [0x22, 1, 2, 5, ...end], { dictionaryId: 0x0201, contentBytes: 5 }],
    ["a dictionary of 4 bytes", [0x23, 1, 2, 3, 0xf4, 5, ...end], {
      dictionaryId: 0xf4030201,
      contentBytes: 5,
    }],
    ["a window, a dictionary and a size", [0x41, 8, 7, 0, 0, ...end], {
      windowBytes: 2048,
      dictionaryId: 7,
      contentBytes: 256,
    }],
    ["a checksum", [0x24, 0, ...end, 1, 2, 3, 4], { hasChecksum: true, frameBytes: 13 }],
    ["a checksum cut short", [0x24, 0, ...end, 1, 2, 3], undefined],
    ["no checksum", [0x20, 0, ...end], { hasChecksum: false, frameBytes: 9 }],
    ["a raw block of 2 bytes", [0x20, 2, 0x11, 0, 0, 65, 66], { frameBytes: 11 }],
    ["a raw block cut short", [0x20, 2, 0x11, 0, 0, 65], undefined],
    ["a run of 1000 bytes, in one", [0x60, 0xe8, 2, 0x43, 0x1f, 0, 65], { frameBytes: 11 }],
    ["two blocks", [0x20, 2, 0x08, 0, 0, 65, 0x09, 0, 0, 66], { frameBytes: 14 }],
    ["no last block", [0x20, 1, 0x08, 0, 0, 65], undefined],
    ["a reserved block", [0x20, 1, 0x0f, 0, 0, 65], undefined],
    ["a reserved bit", [0x28, 5, ...end], undefined],
    ["the unused bit, which decoders pass over", [0x30, 5, ...end], { contentBytes: 5 }],
    ["no size and no single segment", [0x00, 0x00, ...end], undefined],
    ["nothing after the magic", [], undefined],
  ];

test("describeFrame() reads frame headers as RFC 8878 has them", () => {
  for (const [what, bytes, facts] of byHand) {
    const found = describeFrame(Uint8Array.from([...magic, ...bytes]));
    if (facts) assert.deepEqual({ ...found, ...facts }, found, what);
    else assert.equal(found, undefined, what);
  }
});

test("describeFrame() takes nothing else for a frame", async () => {
  const frame = await compressFrame(mixed);
  for (const bytes of [new Uint8Array(0), new Uint8Array(100), skippableFrame(frame), frame.subarray(1)]) {
    assert.equal(describeFrame(bytes), undefined);
  }
});

test("describeFrame() throws on bytes of no kind, and no frame ends beyond them", () => {
  const any = fc.uint8Array({ maxLength: 64 });
  fc.assert(
    fc.property(fc.oneof(any, any.map((rest) => Uint8Array.from([...magic, ...rest]))), (bytes) => {
      const facts = describeFrame(bytes);
      if (facts) assert.ok(facts.frameBytes <= bytes.length);
    }),
    { numRuns: 1000 },
  );
});

test("skippableFrame() puts magic and length before the content", () => {
  const frame = skippableFrame(Uint8Array.from([1, 2, 3]));
  assert.deepEqual([...frame], [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const long = skippableFrame(new Uint8Array(0x01_02_03));
  assert.deepEqual([...long.subarray(4, 8)], [0x03, 0x02, 0x01, 0x00]);
});

test("skippableContent() gives back what skippableFrame() wrapped, wherever it lies", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (content) => {
    const frame = skippableFrame(content);
    assert.deepEqual(Uint8Array.from(skippableContent(frame) ?? []), content);
    const inside = Buffer.concat([new Uint8Array(5), frame]).subarray(5);
    assert.deepEqual(Uint8Array.from(skippableContent(inside) ?? []), content);
  }));
});

test("skippableContent() takes exactly one frame, with the one magic of the format", async () => {
  const frame = skippableFrame(Uint8Array.from([1, 2, 3]));
  for (let length = 0; length < frame.length; length++) {
    assert.equal(skippableContent(frame.subarray(0, length)), undefined, `${length} bytes`);
  }
  assert.equal(skippableContent(Buffer.concat([frame, new Uint8Array(1)])), undefined);
  assert.equal(skippableContent(Buffer.concat([frame, frame])), undefined);
  assert.equal(skippableContent(await compressFrame(mixed)), undefined);
  for (let at = 0; at < 8; at++) {
    const other = Uint8Array.from(frame);
    other[at] = (other[at] ?? 0) ^ 1;
    assert.equal(skippableContent(other), undefined, `byte ${at}`);
  }
});
