import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { FramesAhead } from "../../lib/archive/ahead.ts";
import { planLayers } from "../../lib/archive/plan.ts";
import { unpackFrames, unpackLayer } from "../../lib/archive/unpack.ts";
import type { LayerFile } from "../../lib/store.ts";
import { cacheError } from "../store/examples.ts";
import { assemble, indexedFile, layerFile, sha256Of } from "./examples.ts";

/** More than what comes from a pool, so that it is given back. */
const frameBytes = 128 * 1024;

const empty = new Uint8Array(0);

/** A layer of three frames with a file in each. */
async function threeFrames() {
  const raws = [1, 2, 3].map((seed) => new Uint8Array(frameBytes).fill(seed));
  const files = raws.map((raw, frame) => indexedFile(`r/${frame}`, raw, { frame }));
  const { bytes, layer, index } = await assemble(raws, files);
  const file = layerFile(bytes);
  return { raws, bytes, file, contents: { layer, index }, numberAt: numberAt(index.frames) };
}

function numberAt(frames: readonly { offset: number }[]) {
  return ([offset]: readonly [number, number]) => frames.findIndex((frame) => frame.offset === offset);
}

test("the first frames are begun at once, and each is taken once", async () => {
  const { raws, file, contents, numberAt } = await threeFrames();
  await using ahead = new FramesAhead(file, contents, 2);
  assert.deepEqual(file.reads.map(numberAt), [0, 1]);
  const { name } = contents.layer;
  assert.equal(sha256Of(await ahead.take(name, 1) ?? empty), sha256Of(raws[1] ?? empty));
  // Not assert.equal(): where it fails it prints all that a frame holds.
  assert.ok(ahead.take(name, 1) === undefined);
  assert.ok(ahead.take(name, 2) === undefined, "the third");
  assert.ok(ahead.take("another", 0) === undefined, "another layer's");
  assert.equal(sha256Of(await ahead.take(name, 0) ?? empty), sha256Of(raws[0] ?? empty));
});

test("a layer with fewer frames has no more of them", async () => {
  const { file, contents } = await threeFrames();
  await using _ = new FramesAhead(file, contents, 100);
  assert.equal(file.reads.length, 3);
});

test("nothing is read of frames that break the rules", async () => {
  const { file, contents: { layer, index } } = await threeFrames();
  const [first, second, third] = index.frames;
  assert.ok(first && second && third);
  const wrong = [
    [[second, third], /frame 0 must begin at 0/],
    [[{ ...first, bytes: 2 ** 26 }, second, third], /frame 0 must have at most/],
    [[first, second], /must end at/],
  ] as const;
  for (const [frames, rule] of wrong) {
    const contents = { layer, index: { ...index, frames: [...frames] } };
    assert.throws(() => new FramesAhead(file, contents, 2), cacheError("bad_index", rule));
  }
  assert.deepEqual(file.reads, []);
});

test("what nobody takes is given back once it is there, and a failure of it is nobody's", async (t) => {
  const { bytes, contents } = await threeFrames();
  const file = layerFile(bytes);
  const held = Promise.withResolvers<void>();
  const gate = held.promise;
  let read = 0;
  const late: LayerFile = {
    ...file,
    read: async (offset, length) => {
      await gate;
      read++;
      if (offset === 0) throw new Error("gone");
      return await file.read(offset, length);
    },
  };
  const givenBack = t.mock.method(ArrayBuffer.prototype, "transfer").mock;
  const ahead = new FramesAhead(late, contents, 2);
  let isDisposed = false;
  const disposing = ahead[Symbol.asyncDispose]().then(() => isDisposed = true);
  await setImmediate();
  assert.equal(isDisposed, false, "while frames are read");
  held.resolve();
  await disposing;
  assert.equal(read, 2);
  assert.equal(givenBack.callCount(), 1, "the one that did not fail");
  assert.ok(ahead.take(contents.layer.name, 1) === undefined);
});

test("a damaged frame fails for who takes it", async () => {
  const { bytes, contents } = await threeFrames();
  const damaged = Uint8Array.from(bytes);
  damaged[20] = (damaged[20] ?? 0) ^ 1;
  await using ahead = new FramesAhead(layerFile(damaged), contents, 2);
  await setImmediate();
  await assert.rejects(async () => await ahead.take(contents.layer.name, 0), cacheError("bad_layer"));
});

test("unpackLayer() reads no frame again that was begun, and restores the same", async () => {
  const { file, contents, numberAt } = await threeFrames();
  await using ahead = new FramesAhead(file, contents, 2);
  const got: string[] = [];
  const wanted = [...planLayers([contents]).values()];
  await unpackLayer({ file, contents, ahead }, wanted, ({ path }, content) => {
    assert.equal(content[0], Number(path.slice(2)) + 1);
    got.push(path);
  });
  assert.deepEqual(got.toSorted(), ["r/0", "r/1", "r/2"]);
  assert.deepEqual(file.reads.map(numberAt), [0, 1, 2]);
});

test("frames that are not needed after all are given back before the first file comes", async () => {
  const { file, contents } = await threeFrames();
  await using ahead = new FramesAhead(file, contents, 2);
  const wanted = [...planLayers([contents]).values()].filter(({ path }) => path === "r/1");
  for await (const frame of unpackFrames({ file, contents, ahead }, wanted)) {
    if (frame.files.length === 0) continue;
    assert.ok(ahead.take(contents.layer.name, 0) === undefined);
    assert.deepEqual(frame.files.map(({ planned }) => planned.path), ["r/1"]);
  }
});
