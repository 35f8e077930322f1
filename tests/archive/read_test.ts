import assert from "node:assert/strict";
import { test } from "node:test";
import { skippableFrame } from "../../lib/archive/frames.ts";
import { encodeIndex, maxIndexRawBytes } from "../../lib/archive/index.ts";
import { readFrame, readIndex } from "../../lib/archive/read.ts";
import { compressFrame } from "../../lib/archive/zstd.ts";
import { CacheError } from "../../lib/errors.ts";
import type { LayerFile } from "../../lib/store.ts";
import { cacheError, exampleLayer } from "../store/examples.ts";
import { assemble, indexedFile, layerFile, sha256Of, textBytes, withIndexFrame } from "./examples.ts";

const raw = new Uint8Array(1024).fill(65);
const example = await assemble([raw, raw.slice(512)], [indexedFile("r/a", raw)]);

/** A layer file whose answers are changed by `change`, which gets the number of each read, from 0. */
function changed(bytes: Uint8Array, change: (answer: Uint8Array, read: number) => Uint8Array): LayerFile {
  const file = layerFile(bytes);
  return {
    ...file,
    read: async (offset, length) => {
      const answer = await file.read(offset, length);
      return change(answer, file.reads.length - 1);
    },
  };
}

const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => at === 3 ? byte ^ 1 : byte);

test("readIndex() reads the index, and nothing else of the layer", async () => {
  const file = layerFile(example.bytes);
  assert.deepEqual(await readIndex(file, example.layer), example.index);
  assert.deepEqual(file.reads, [[example.layer.index.offset, example.layer.index.bytes]]);
});

test("readIndex() refuses a layer of another size before it reads anything", async () => {
  for (const bytes of [example.bytes.subarray(0, -1), Buffer.concat([example.bytes, new Uint8Array(1)])]) {
    const file = layerFile(bytes);
    const says = new RegExp(
      `^Cannot use layer ${example.layer.name} as it has ${bytes.length} bytes where its generation says ` +
        `${example.bytes.length}$`,
    );
    await assert.rejects(() => readIndex(file, example.layer), cacheError("bad_layer", says));
    assert.deepEqual(file.reads, []);
  }
});

test("readIndex() believes what is wrong once and right the second time", async () => {
  const file = changed(example.bytes, (answer, read) => read === 0 ? flipped(answer) : answer);
  assert.deepEqual(await readIndex(file, example.layer), example.index);
});

test("readIndex() refuses an index that is wrong twice, and asks no third time", async () => {
  let reads = 0;
  const file = changed(example.bytes, (answer) => {
    reads++;
    return flipped(answer);
  });
  const says = new RegExp(
    `^Cannot use the index of layer ${example.layer.name} as its SHA-256 is not ` +
      `${example.layer.index.sha256}$`,
  );
  await assert.rejects(() => readIndex(file, example.layer), cacheError("bad_layer", says));
  assert.equal(reads, 2);
});

test("readIndex() refuses an index with the right digest that is not one zstd frame in a skippable one", async () => {
  const index = await compressFrame(encodeIndex(example.index));
  const frame = skippableFrame(index);
  const otherMagic = Uint8Array.from(frame);
  otherMagic[0] = 0x51;
  const examples: readonly (readonly [Uint8Array, "bad_index" | "bad_layer"])[] = [
    [new Uint8Array(0), "bad_index"],
    [index, "bad_index"],
    [otherMagic, "bad_index"],
    [Buffer.concat([frame, frame]), "bad_index"],
    [skippableFrame(new Uint8Array(0)), "bad_index"],
    [skippableFrame(encodeIndex(example.index)), "bad_index"],
    [skippableFrame(skippableFrame(index)), "bad_index"],
    [skippableFrame(index.subarray(0, -1)), "bad_index"],
    [skippableFrame(Buffer.concat([index, index])), "bad_layer"],
    [skippableFrame(flipped(index.toReversed()).toReversed()), "bad_layer"],
    [skippableFrame(await compressFrame(textBytes("{"))), "bad_index"],
    [skippableFrame(await compressFrame(textBytes('{"format":2}'))), "bad_index"],
  ];
  for (const [at, [bytes, code]] of examples.entries()) {
    const { bytes: all, layer } = withIndexFrame(
      example.bytes.subarray(0, example.layer.index.offset),
      bytes,
    );
    await assert.rejects(() => readIndex(layerFile(all), layer), cacheError(code), `example ${at}`);
  }
});

test("readIndex() refuses an index that would decode to more than its limit, without decoding it", async () => {
  const size = new Uint8Array(new Uint32Array([maxIndexRawBytes + 1]).buffer);
  const bomb = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, ...size, 0x01, 0, 0]);
  const { bytes, layer } = withIndexFrame(new Uint8Array(0), skippableFrame(bomb));
  await assert.rejects(
    () => readIndex(layerFile(bytes), layer),
    cacheError("bad_index", new RegExp(`is not one zstd frame of at most ${maxIndexRawBytes} bytes$`)),
  );
});

test("readFrame() gives a frame's decoded bytes, and reads that frame alone", async () => {
  const file = layerFile(example.bytes);
  for (const frame of example.index.frames) {
    const decoded = await readFrame(file, frame, "a layer");
    assert.deepEqual(Uint8Array.from(decoded), raw.slice(0, frame.raw_bytes));
  }
  assert.deepEqual(file.reads, example.index.frames.map(({ offset, bytes }) => [offset, bytes]));
});

test("readFrame() believes what is wrong once, and refuses what is wrong twice", async () => {
  const [frame] = example.index.frames;
  assert.ok(frame);
  const once = changed(example.bytes, (answer, read) => read === 0 ? flipped(answer) : answer);
  assert.equal((await readFrame(once, frame, "x")).length, frame.raw_bytes);
  const twice = changed(example.bytes, flipped);
  const says = /^Cannot use the frame at 0 of layer x as its SHA-256 is not [0-9a-f]{64}$/;
  await assert.rejects(() => readFrame(twice, frame, "x"), cacheError("bad_layer", says));
});

test("readFrame() decodes nothing but one frame of the size that the index says", async () => {
  const [frame] = example.index.frames;
  assert.ok(frame);
  const file = layerFile(example.bytes);
  for (const raw_bytes of [512, 1023, 1025, 2048]) {
    await assert.rejects(() => readFrame(file, { ...frame, raw_bytes }, "x"), cacheError("bad_layer"));
  }
  // Two frames as one: their digest is right.
  const both = example.bytes.slice(0, example.layer.index.offset);
  const asOne = { offset: 0, bytes: both.length, raw_bytes: 1536, sha256: sha256Of(both) };
  await assert.rejects(() => readFrame(file, asOne, "x"), cacheError("bad_layer", /it ends after/));
});

test("a failing share is passed on as it is", async () => {
  const [frame] = example.index.frames;
  assert.ok(frame);
  const fails: LayerFile = {
    ...layerFile(example.bytes),
    read: () => Promise.reject(new CacheError("store_io", "EIO")),
  };
  await assert.rejects(() => readIndex(fails, example.layer), cacheError("store_io"));
  await assert.rejects(() => readFrame(fails, frame, "x"), cacheError("store_io"));
});

test("readIndex() refuses an index of more bytes than one can have, and reads nothing", async () => {
  const bytes = 5_000_000_000;
  const file = { ...layerFile(new Uint8Array(0)), bytes };
  const layer = { ...exampleLayer(), bytes, index: { offset: 0, bytes, sha256: "c".repeat(64) } };
  await assert.rejects(
    readIndex(file, layer),
    cacheError("bad_index", /its index has 5000000000 bytes, more than 33554432$/),
  );
  assert.deepEqual(file.reads, []);
});
