import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import type { IndexedFile } from "../../lib/archive/index.ts";
import { planLayers } from "../../lib/archive/plan.ts";
import { framesFor, unpackFrames, unpackLayer } from "../../lib/archive/unpack.ts";
import { CacheError } from "../../lib/errors.ts";
import type { LayerFile } from "../../lib/store.ts";
import { cacheError } from "../store/examples.ts";
import { assemble, indexedFile, layerFile, sha256Of, textBytes } from "./examples.ts";

/** Bytes that are never the same for long: a file in the wrong place shows. */
function patterned(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 8) * 13 + seed) % 256);
}

/** A stream cut into frames of these many bytes. */
function cut(stream: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  let at = 0;
  return lengths.map((length) => stream.subarray(at, at += length));
}

/** A file that lies at `start` of a stream cut in this way. */
function fileAt(
  path: string,
  stream: Uint8Array,
  place: { start: number; size: number; cuts: readonly number[] },
) {
  let { start: offset } = place;
  let frame = 0;
  for (; offset >= (place.cuts[frame] ?? Infinity); frame++) offset -= place.cuts[frame] ?? 0;
  const content = stream.subarray(place.start, place.start + place.size);
  return indexedFile(path, content, { frame, offset });
}

interface Got {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The frames that were read, in order. */
  readonly frames: number[];
}

/** Unpacks those of the files that are `wanted`, by default all. */
async function unpackFrom(
  raws: readonly Uint8Array[],
  files: readonly IndexedFile[],
  wanted: (path: string) => boolean = () => true,
): Promise<Got> {
  const { bytes, layer, index } = await assemble(raws, files);
  const file = layerFile(bytes);
  const plan = planLayers([{ layer, index }]);
  const got = new Map<string, Uint8Array>();
  const planned = [...plan.values()].filter(({ path }) => wanted(path));
  await unpackLayer({ file, contents: { layer, index } }, planned, ({ path }, content) => {
    assert.ok(!got.has(path), `${path} came twice`);
    got.set(path, Uint8Array.from(content));
  });
  const frames = file.reads.map(([offset]) => index.frames.findIndex((frame) => frame.offset === offset));
  return { files: got, frames };
}

test("unpackLayer() hands over every file once, whole, with what the plan says of it", async () => {
  const stream = patterned(2048);
  const cuts = [2048];
  const files = [
    fileAt("r/a", stream, { start: 0, size: 5, cuts }),
    fileAt("r/b", stream, { start: 512, size: 512, cuts }),
    fileAt("r/c", stream, { start: 1024, size: 1024, cuts }),
  ];
  const got = await unpackFrom([stream], files);
  assert.deepEqual([...got.files.keys()], ["r/a", "r/b", "r/c"]);
  for (const { path, sha256 } of files) {
    assert.equal(sha256Of(got.files.get(path) ?? textBytes("")), sha256, path);
  }
});

test("unpackLayer() needs no frame for empty files", async () => {
  const empty = new Uint8Array(0);
  const files = [indexedFile("r/a", empty, { frame: 7, offset: 3 }), indexedFile("r/b", empty)];
  const got = await unpackFrom([], files);
  assert.deepEqual([...got.files.entries()], [["r/a", empty], ["r/b", empty]]);
});

test("unpackLayer() gives files that share their bytes each on its own", async () => {
  const stream = patterned(512);
  const twins = ["r/a", "r/b", "r/c"].map((path) => fileAt(path, stream, { start: 0, size: 9, cuts: [512] }));
  const got = await unpackFrom([stream], twins);
  assert.equal(got.files.size, 3);
  assert.equal(got.frames.length, 1);
});

const cuts = [512, 1024, 512, 2048, 512, 512];
const stream = patterned(cuts.reduce((sum, length) => sum + length));
const spread = [
  fileAt("r/first", stream, { start: 0, size: 100, cuts }),
  fileAt("r/spans3", stream, { start: 512, size: 1024 + 512 + 1, cuts }),
  fileAt("r/inside", stream, { start: 2560, size: 600, cuts }),
  fileAt("r/spans2", stream, { start: 3584, size: 513, cuts }),
];

test("unpackLayer() puts files together that span frames", async () => {
  const got = await unpackFrom(cut(stream, cuts), spread);
  for (const { path, sha256 } of spread) {
    assert.equal(sha256Of(got.files.get(path) ?? textBytes("")), sha256, path);
  }
});

test("unpackLayer() has memory for one content that spans frames, however many files have it", async () => {
  const twins = ["r/a", "r/b", "r/c"].map((path) => fileAt(path, stream, { start: 512, size: 1537, cuts }));
  const last = fileAt("r/last", stream, { start: 3584, size: 513, cuts });
  const { bytes, layer, index } = await assemble(cut(stream, cuts), [...twins, last]);
  const contents = { layer, index };
  const memories = new Set<ArrayBufferLike>();
  await unpackLayer(
    { file: layerFile(bytes), contents },
    [...planLayers([contents]).values()],
    (planned, content) => {
      memories.add(content.buffer);
      assert.equal(sha256Of(content), planned.sha256, planned.path);
    },
  );
  assert.equal(memories.size, 1);
});

test("frames for an amount of memory: what a load takes besides, and 32 MiB for each, two at the least", () => {
  assert.deepEqual([1, 247, 256, 280, 281, 1000].map(framesFor), [2, 2, 2, 2, 3, 24]);
});

test("no more frames are read at once than may be held, and one more for each that is given back", async () => {
  for (const framesHeld of [1, 2, 3]) {
    const { bytes, layer, index } = await assemble(cut(stream, cuts), spread);
    const contents = { layer, index };
    let read = 0;
    const file = layerFile(bytes);
    const counted: LayerFile = { ...file, read: (offset, length) => (read++, file.read(offset, length)) };
    // Empty files come first, and are of no frame.
    let given = -1;
    const wanted = [...planLayers([contents]).values()];
    for await (const frame of unpackFrames({ file: counted, contents, framesHeld }, wanted)) {
      await setImmediate();
      assert.ok(read <= Math.max(given, 0) + framesHeld, `${read} frames read, ${given} given back`);
      frame.release();
      if (!frame.isLent) given++;
    }
    assert.equal(read, cuts.length);
  }
});

test("contents stay as they are until the promises that a sink has returned are settled", async () => {
  // Larger than what comes from a pool, so that it is given back.
  const size = 100_000;
  const starts = [0, 100_352, 200_704, 301_056];
  const long = patterned(401_408);
  const frames = [200_704, 200_704];
  const files = starts.map((start, at) => fileAt(`r/${at}`, long, { start, size, cuts: frames }));
  const { bytes, layer, index } = await assemble(cut(long, frames), files);
  const contents = { layer, index };
  const kept: { content: Uint8Array; sha256: string }[] = [];
  const atOnce: Uint8Array[] = [];
  await unpackLayer(
    { file: layerFile(bytes), contents },
    [...planLayers([contents]).values()],
    async (planned, content) => {
      atOnce.push(content);
      await setImmediate();
      kept.push({ content: content.slice(), sha256: planned.sha256 });
      assert.equal(sha256Of(content), planned.sha256, planned.path);
    },
  );
  assert.equal(kept.length, 4);
  assert.deepEqual(atOnce.map((content) => content.length), [0, 0, 0, 0], "memory that was not given back");
});

test("where a sink fails all that it has begun is waited for, and nothing is left unhandled", async () => {
  const { bytes, layer, index } = await assemble(cut(stream, cuts), spread);
  const contents = { layer, index };
  for (const failing of spread.map(({ path }) => path)) {
    for (const fails of [() => Promise.reject(new Error(failing)), () => assert.fail(failing)]) {
      let [begun, ended] = [0, 0];
      const unpacking = unpackLayer(
        { file: layerFile(bytes), contents },
        [...planLayers([contents]).values()],
        ({ path }) => {
          if (path === failing) return fails();
          begun++;
          return setImmediate().then(() => void ended++);
        },
      );
      await assert.rejects(unpacking, { message: failing });
      assert.equal(ended, begun, failing);
    }
  }
});

test("unpackLayer() reads each frame once, in order", async () => {
  assert.deepEqual((await unpackFrom(cut(stream, cuts), spread)).frames, [0, 1, 2, 3, 4, 5]);
});

test("files come as their frames are decoded, whichever is first; in order where one goes on in the next frame", async () => {
  const frames = [1024, 1024, 1024];
  const apart = [0, 1024, 2048].map((start) =>
    fileAt(`r/${start}`, stream, { start, size: 1000, cuts: frames })
  );
  const across = apart.with(1, fileAt("r/across", stream, { start: 1024, size: 1500, cuts: frames })).slice(
    0,
    2,
  );
  for (
    const [files, expected] of [
      [apart, ["r/1024", "r/2048", "r/0"]],
      [across, ["r/0", "r/across"]],
    ] as const
  ) {
    const { bytes, layer, index } = await assemble(cut(stream.subarray(0, 3072), frames), files);
    const contents = { layer, index };
    const file = layerFile(bytes);
    const got: string[] = [];
    const held = Promise.withResolvers<void>();
    const firstIsLate: LayerFile = {
      ...file,
      read: async (offset, length) => {
        if (offset === 0) await held.promise;
        return await file.read(offset, length);
      },
    };
    const wanted = [...planLayers([contents]).values()];
    const unpacking = (async () => {
      for await (const frame of unpackFrames({ file: firstIsLate, contents, framesHeld: 3 }, wanted)) {
        got.push(...frame.files.map(({ planned }) => planned.path));
        frame.release();
      }
    })();
    while (got.length < (files === apart ? 2 : 0)) await setImmediate();
    held.resolve();
    await unpacking;
    assert.deepEqual([...got.slice(0, -1).sort(), got.at(-1)], [
      ...expected.slice(0, -1).toSorted(),
      expected.at(-1),
    ]);
  }
});

test("unpackLayer() reads the frames that hold the files wanted, and those that hold none", async () => {
  const framesFor = async (...paths: string[]) =>
    (await unpackFrom(cut(stream, cuts), spread, (path) => paths.includes(path))).frames;
  // The last frame holds no file: a tar's end mark may be alone in one.
  assert.deepEqual(await framesFor("r/first"), [0, 5]);
  assert.deepEqual(await framesFor("r/spans3"), [1, 2, 3, 5]);
  assert.deepEqual(await framesFor("r/inside", "r/first"), [0, 3, 5]);
  assert.deepEqual(await framesFor("r/spans2"), [3, 4, 5]);
  assert.deepEqual(await framesFor(), [5]);
});

test("unpackLayer() puts any files back together, however the stream is cut", async () => {
  const blocks = fc.array(fc.integer({ min: 0, max: 1800 }), { minLength: 1, maxLength: 6 });
  const pieces = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(blocks, pieces, async (sizes, lengths) => {
      const total = sizes.reduce((sum, size) => sum + 512 + Math.ceil(size / 512) * 512, 0);
      const cuts: number[] = [];
      for (let at = 0, rest = total; rest > 0; at++) {
        const length = Math.min(rest, 512 * (lengths[at % lengths.length] ?? 1));
        cuts.push(length);
        rest -= length;
      }
      const whole = patterned(total, 5);
      let start = 0;
      const files = sizes.map((size, at) => {
        start += 512;
        const file = fileAt(`r/${at}`, whole, { start, size, cuts });
        start += Math.ceil(size / 512) * 512;
        return size > 0 ? file : indexedFile(`r/${at}`, new Uint8Array(0));
      });
      const got = await unpackFrom(cut(whole, cuts), files);
      assert.equal(got.files.size, files.length);
      for (const { path, sha256 } of files) assert.equal(sha256Of(got.files.get(path) ?? whole), sha256);
    }),
    { numRuns: 50 },
  );
});

/** A layer file that changes what is read at `offset`. */
function damagedAt(bytes: Uint8Array, at: number): LayerFile {
  const damaged = Uint8Array.from(bytes);
  damaged[at] = (damaged[at] ?? 0) ^ 1;
  return layerFile(damaged);
}

test("unpackLayer() refuses a damaged frame, wherever it lies, and hands over nothing of it", async () => {
  const { bytes, layer, index } = await assemble(cut(stream, cuts), spread);
  const planned = [...planLayers([{ layer, index }]).values()];
  for (const [number, frame] of index.frames.entries()) {
    const got: string[] = [];
    const file = damagedAt(bytes, frame.offset + frame.bytes - 1);
    await assert.rejects(
      () => unpackLayer({ file, contents: { layer, index } }, planned, ({ path }) => void got.push(path)),
      cacheError(
        "bad_layer",
        new RegExp(`^Cannot use the frame at ${frame.offset} of layer ${layer.name} as`),
      ),
    );
    for (const path of got) {
      const first = planned.find((each) => each.path === path);
      assert.ok(
        first && first.frame < number,
        `${path} lies in frame ${first?.frame}, and ${number} is damaged`,
      );
    }
  }
});

test("unpackLayer() leaves no failure unhandled where two frames are damaged at once", async () => {
  const { bytes, layer, index } = await assemble(cut(stream, cuts), spread);
  const planned = [...planLayers([{ layer, index }]).values()];
  const broken = layerFile(new Uint8Array(bytes.length));
  await assert.rejects(
    () => unpackLayer({ file: broken, contents: { layer, index } }, planned, () => {}),
    cacheError("bad_layer"),
  );
  // An unhandled rejection would fail the test in this turn.
  await setImmediate();
});

test("what the sink throws ends the unpacking", async () => {
  const { bytes, layer, index } = await assemble(cut(stream, cuts), spread);
  const planned = [...planLayers([{ layer, index }]).values()];
  const file = layerFile(bytes);
  const stop = new CacheError("interrupted", "stop");
  await assert.rejects(
    () =>
      unpackLayer({ file, contents: { layer, index } }, planned, () => {
        throw stop;
      }),
    (error) => error === stop,
  );
});
