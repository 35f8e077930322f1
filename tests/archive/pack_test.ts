import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { framesToPack, packLayer, pathConflicts, type SourceFile } from "../../lib/archive.ts";
import { describeFrame, skippableFrame } from "../../lib/archive/frames.ts";
import { encodeIndex, maxFrameRawBytes } from "../../lib/archive/index.ts";
import { readFrame, readIndex } from "../../lib/archive/read.ts";
import { compressFrame } from "../../lib/archive/zstd.ts";
import { entryPathProblem } from "../../lib/entry_path.ts";
import { CacheError } from "../../lib/errors.ts";
import {
  byPath,
  layerFile,
  type LayerInMemory,
  oneByOne,
  pack,
  type PackedInMemory,
  sha256Of,
  sourceFile,
  textBytes,
  unpack,
  withIndexFrame,
} from "./examples.ts";

const small: readonly SourceFile[] = [
  sourceFile("inductor/c3/kernel.py", "def kernel(x): return x + 1\n"),
  sourceFile("inductor/c3/copy.py", "def kernel(x): return x + 1\n", { mtimeNs: 7n }),
  sourceFile("triton/ab/kernel.so", Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3]), { mode: 0o755 }),
  sourceFile("triton/empty", ""),
];

/** The whole tar stream of a layer, decoded frame by frame. */
async function tarStreamOf({ bytes, layer }: LayerInMemory): Promise<Uint8Array> {
  const file = layerFile(bytes);
  const { frames } = await readIndex(file, layer);
  return Buffer.concat(await Promise.all(frames.map((frame) => readFrame(file, frame, layer.name))));
}

test("a layer gives back what was packed: paths, contents, modes, times", async () => {
  assert.deepEqual(byPath(await unpack(await pack(small))), byPath(small));
});

test("a layer is frames one after another, then the index to its end", async () => {
  const { bytes, layer } = await pack(small);
  const { frames } = await readIndex(layerFile(bytes), layer);
  assert.equal(frames.length, 1);
  const [frame] = frames;
  assert.deepEqual(frame, {
    offset: 0,
    bytes: layer.index.offset,
    raw_bytes: frame?.raw_bytes,
    sha256: sha256Of(bytes.subarray(0, layer.index.offset)),
  });
  assert.equal(describeFrame(bytes)?.frameBytes, layer.index.offset);
  assert.equal(describeFrame(bytes)?.contentBytes, frame?.raw_bytes);
  const index = bytes.subarray(layer.index.offset);
  assert.deepEqual(layer, {
    name: layer.name,
    bytes: bytes.length,
    index: { offset: layer.index.offset, bytes: index.length, sha256: sha256Of(index) },
    files: 4,
    raw_bytes: 28 + 28 + 8 + 0,
  });
});

test("packLayer() tells the rows of the index, and the raw bytes of every frame", async () => {
  const packed = await pack(small);
  const { frames, files } = await readIndex(layerFile(packed.bytes), packed.layer);
  assert.deepEqual(packed.files, files);
  assert.deepEqual(packed.progress, frames.map(({ raw_bytes }) => raw_bytes));
  assert.deepEqual(files[0], {
    path: "inductor/c3/kernel.py",
    size: 28,
    mode: 0o644,
    mtime: "1760000000123456789",
    sha256: sha256Of(textBytes("def kernel(x): return x + 1\n")),
    frame: 0,
    offset: 512,
  });
});

test("the files lie in the tar stream where the index says", async () => {
  const packed = await pack(small);
  const stream = await tarStreamOf(packed);
  for (const { size, sha256, frame, offset } of packed.files) {
    assert.equal(frame, 0);
    assert.equal(sha256Of(stream.subarray(offset, offset + size)), sha256);
  }
  assert.ok(stream.subarray(-1024).every((byte) => byte === 0));
  // Four headers, two blocks of content, two that end the archive.
  assert.equal(stream.length, 8 * 512);
});

test("equal content is stored once, and restored for every path", async () => {
  const content = Uint8Array.from({ length: 5000 }, (_, at) => (at * at) % 251);
  const twins = ["r/a", "r/b", "t/c"].map((each, at) => sourceFile(each, content, { mode: 0o600 + at }));
  const packed = await pack([...twins, sourceFile("r/other", content.slice(1))]);
  const places = packed.files.map(({ frame, offset }) => `${frame} ${offset}`);
  assert.equal(new Set(places.slice(0, 3)).size, 1);
  assert.notEqual(places[3], places[0]);
  const stream = await tarStreamOf(packed);
  assert.equal(stream.length, 512 + 5120 + 2 * 512 + 512 + 5120 + 1024);
  assert.deepEqual(Object.keys(byPath(await unpack(packed))), ["r/a", "r/b", "t/c", "r/other"]);
});

test("an empty layer is an end mark and an index", async () => {
  const packed = await pack([]);
  assert.deepEqual(await tarStreamOf(packed), Buffer.alloc(1024));
  assert.deepEqual([packed.layer.files, packed.layer.raw_bytes], [0, 0]);
  assert.deepEqual(await unpack(packed), []);
});

test("the same files in the same order make the same bytes", async () => {
  assert.deepEqual((await pack(small)).bytes, (await pack(small)).bytes);
});

test("files are asked for one at a time, and what fails while asking fails the packing", async () => {
  const failure = new CacheError("local_io", "EIO");
  // deno-lint-ignore require-yield
  async function* fails(): AsyncGenerator<SourceFile> {
    await Promise.resolve();
    throw failure;
  }
  const nothing = {
    write: () => Promise.resolve(),
    publish: () => Promise.resolve(""),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  await assert.rejects(() => packLayer(fails(), nothing), (error) => error === failure);
});

test("a store that fails while it is written to fails the packing", async () => {
  const failure = new CacheError("store_io", "EIO");
  for (const failing of [0, 1]) {
    let writes = 0;
    const upload = {
      write: () => writes++ === failing ? Promise.reject(failure) : Promise.resolve(),
      publish: () => Promise.resolve(""),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    await assert.rejects(() => packLayer(oneByOne(small), upload), (error) => error === failure);
  }
});

const component = fc.oneof(
  fc.constantFrom(
    "kernel.py",
    ".hidden",
    " ",
    "a=b",
    "-rf",
    "naïve",
    "文件",
    "😀",
    "n".repeat(255),
    "ü".repeat(127),
  ),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
);
const entryPath = fc.tuple(
  fc.constantFrom("inductor", "triton", "v"),
  fc.oneof(
    fc.array(component, { minLength: 1, maxLength: 5 }),
    fc.constantFrom(Array<string>(127).fill("d"), Array<string>(11).fill("d".repeat(255))),
  ),
).map(([root, components]) => [root, ...components].join("/"))
  .filter((each) => entryPathProblem(each) === undefined);
const content = fc.oneof(
  fc.constantFrom("", "x", "twin", "y".repeat(512), "z".repeat(1025)).map(textBytes),
  fc.uint8Array({ maxLength: 1500 }),
);
const mtimeNs = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, 999_999_999n, 1_760_000_000_000_000_001n, 9_999_999_999_999_999_999n),
  fc.bigInt({ min: -(10n ** 18n), max: 10n ** 19n - 1n }),
);
const source = fc.record({ path: entryPath, content, mode: fc.integer({ min: 0, max: 0o777 }), mtimeNs });
const sources = fc.uniqueArray(source, { selector: ({ path }) => path, maxLength: 20 }).map((files) => {
  const below = new Set(
    pathConflicts(new Set(files.map(({ path }) => path))).map((conflict) => conflict.below),
  );
  return files.filter(({ path }) => !below.has(path));
});

test("any files come back as they were packed", async () => {
  await fc.assert(
    fc.asyncProperty(sources, async (files) => {
      const unpacked = await unpack(await pack(files));
      assert.equal(unpacked.length, files.length);
      // Nobody may write to a restored file but its owner and group.
      const expected = files.map((each) => ({ ...each, mode: each.mode & 0o775 }));
      assert.deepEqual(byPath(unpacked), byPath(expected));
    }),
    { numRuns: 60 },
  );
});

test("many small files come back as they were packed", async () => {
  const files = Array.from({ length: 500 }, (_, at) => sourceFile(`r/${at % 16}/${at}`, `file ${at % 400}`));
  const packed = await pack(files);
  assert.equal(packed.layer.files, 500);
  assert.deepEqual(byPath(await unpack(packed)), byPath(files));
});

const large = Buffer.alloc(maxFrameRawBytes, "a kernel of 17 b.");
/** Does not compress: what decodes to far more than is stored is refused. */
const noise = sourceFile("r/noise", randomBytes(200 * 1024));

test("a file that fits into a frame lies in one, with its header: where it does not fit into the rest, the next begins", async () => {
  for (const left of [0, 512, 1024, 1536]) {
    const files = [sourceFile("r/large", large.subarray(512 + left)), sourceFile("r/next", "x")];
    const packed = await pack(files);
    const next = left < 1024 ? [1, 512] : [0, maxFrameRawBytes - left + 512];
    assert.deepEqual(packed.files.map(({ frame, offset }) => [frame, offset]), [[0, 512], next]);
    const first = left < 1024 ? maxFrameRawBytes - left : maxFrameRawBytes;
    assert.equal(packed.progress[0], first, `${left} bytes left`);
    assert.deepEqual(byPath(await unpack(packed)), byPath(files));
  }
});

test("where a header fills a frame to its end the file begins the next frame", async () => {
  const files = [sourceFile("r/large", large.subarray(2 * 512)), sourceFile("r/next", large), noise];
  const packed = await pack(files);
  assert.deepEqual(packed.files.map(({ frame, offset }) => [frame, offset]), [[0, 512], [1, 0], [2, 512]]);
  assert.deepEqual(packed.progress.slice(0, 2), [maxFrameRawBytes, maxFrameRawBytes]);
  assert.deepEqual(byPath(await unpack(packed)), byPath(files));
});

function refusesAsBad(error: unknown): true {
  assert.ok(error instanceof CacheError, String(error));
  assert.ok(error.code === "bad_layer" || error.code === "bad_index", error.code);
  return true;
}

test("a layer with any single byte changed is refused", async () => {
  const { bytes, layer } = await pack(small);
  for (let at = 0; at < bytes.length; at++) {
    for (const change of [0x01, 0x80]) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ change;
      await assert.rejects(() => unpack({ bytes: damaged, layer }), refusesAsBad, `byte ${at} xor ${change}`);
    }
  }
});

test("a layer of any smaller length is refused, even where its generation says that length", async () => {
  const { bytes, layer } = await pack(small);
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    await assert.rejects(() => unpack({ bytes: cut, layer }), refusesAsBad, `${length} bytes`);
    const claims = { ...layer, bytes: length };
    await assert.rejects(() => unpack({ bytes: cut, layer: claims }), refusesAsBad, `${length} bytes`);
  }
});

test("a layer with more at its end is refused", async () => {
  const { bytes, layer } = await pack(small);
  for (const more of [new Uint8Array(1), new Uint8Array(512), bytes, skippableFrame(new Uint8Array(0))]) {
    await assert.rejects(() => unpack({ bytes: Buffer.concat([bytes, more]), layer }), refusesAsBad);
  }
});

test("an index with right digests that was tampered with is refused as bad, or restores only what it says", async () => {
  const { bytes, layer } = await pack(small);
  const stored = bytes.subarray(0, layer.index.offset);
  const text = encodeIndex(await readIndex(layerFile(bytes), layer));
  const tampering = fc.record({
    at: fc.nat({ max: text.length - 1 }),
    to: fc.constantFrom(...textBytes('09a/."{}[],x')),
  });
  await fc.assert(
    fc.asyncProperty(tampering, async ({ at, to }) => {
      const tampered = Uint8Array.from(text);
      tampered[at] = to;
      const made = withIndexFrame(stored, skippableFrame(await compressFrame(tampered)));
      const claims = { ...made.layer, files: layer.files, raw_bytes: layer.raw_bytes };
      try {
        const unpacked = await unpack({ bytes: made.bytes, layer: claims });
        assert.equal(unpacked.length, layer.files);
      } catch (error) {
        refusesAsBad(error);
      }
    }),
    { numRuns: 200 },
  );
});

/** Why the system's tools cannot open a layer here; false where they can. */
function missingTools(): string | false {
  for (const tool of ["tar", "zstd"]) {
    if (spawnSync(tool, ["--version"]).status !== 0) return `there is no ${tool}`;
  }
  return execFileSync("tar", ["--version"]).includes("GNU tar") ? false : "this tar is not GNU tar";
}

const skip = missingTools();

function inDirectory(act: (dir: string) => void): void {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "b10-layer-"));
  try {
    act(dir);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

/** All files below `dir`, by their paths. */
function filesBelow(dir: string): string[] {
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? filesBelow(path.join(dir, entry.name)).map((below) => `${entry.name}/${below}`)
      : [entry.name]
  ).sort();
}

test("the system's tar and zstd open a layer: contents, modes, seconds, hard links", { skip }, async () => {
  const files = [
    ...small,
    sourceFile("triton/ab/twin.so", Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3]), { mode: 0o755 }),
    sourceFile("triton/empty too", ""),
    sourceFile(`r/${"d".repeat(100)}/${"n".repeat(90)}`, "a path with a prefix", { mode: 0o600 }),
    sourceFile(`r/${"n".repeat(255)}`, "a path with a PAX record", { mode: 0o400 }),
    sourceFile(`r/twin of ${"n".repeat(240)}`, "a path with a PAX record", { mode: 0o400 }),
    sourceFile("r/naïve/文件/😀", "other letters"),
    sourceFile("r/-rf", "an option"),
    sourceFile("r/before 1970", "old", { mtimeNs: -5_000_000_000n }),
  ];
  const { bytes } = await pack(files);
  inDirectory((dir) => {
    const layer = path.join(dir, "layer.tar.zst");
    const out = path.join(dir, "out");
    fs.writeFileSync(layer, bytes);
    fs.mkdirSync(out);
    execFileSync("zstd", ["--quiet", "--test", layer]);
    execFileSync("tar", ["--zstd", "-x", "-p", "-f", layer, "-C", out]);
    assert.deepEqual(filesBelow(out), files.map((file) => file.path).sort());
    const byContent = new Map<string, { ino: number; mtimeNs: bigint }>();
    for (const { path: name, content, mode, mtimeNs } of files) {
      const stat = fs.statSync(path.join(out, name));
      assert.deepEqual(Uint8Array.from(fs.readFileSync(path.join(out, name))), content, name);
      assert.equal((stat.mode & 0o7777).toString(8), mode.toString(8), name);
      // A hard link is the first file under another name.
      const first = byContent.get(sha256Of(content)) ?? { ino: stat.ino, mtimeNs };
      byContent.set(sha256Of(content), first);
      assert.equal(stat.ino, first.ino, name);
      const seconds = first.mtimeNs > 0n ? Number(first.mtimeNs / 1_000_000_000n) : 0;
      assert.equal(Math.floor(stat.mtimeMs / 1000), seconds, name);
    }
    assert.equal(new Set([...byContent.values()].map(({ ino }) => ino)).size, byContent.size);
  });
});

const spanning = [
  sourceFile("r/large", large.subarray(3 * 512)),
  // With its header more than a frame holds.
  sourceFile("r/spans", large.subarray(0, -511)),
  sourceFile("r/twin", large.subarray(0, -511)),
  noise,
];
let spanningLayer: Promise<PackedInMemory> | undefined;

test("a file that fits into no frame of 32 MiB begins in one and ends in the next", async () => {
  const packed = await (spanningLayer ??= pack(spanning));
  const place = [0, maxFrameRawBytes - 512];
  const places = packed.files.map(({ frame, offset }) => [frame, offset]);
  assert.deepEqual(places.slice(0, 3), [[0, 512], place, place]);
  assert.deepEqual(packed.progress.slice(0, 2), [maxFrameRawBytes, maxFrameRawBytes]);
  assert.deepEqual(byPath(await unpack(packed)), byPath(spanning));
});

test("the system's tar goes on over the ends of frames", { skip }, async () => {
  const { bytes, files } = await (spanningLayer ??= pack(spanning));
  inDirectory((dir) => {
    const layer = path.join(dir, "layer.tar.zst");
    fs.writeFileSync(layer, bytes);
    execFileSync("tar", ["--zstd", "-x", "-f", layer, "-C", dir, "r/spans", "r/twin"]);
    assert.equal(sha256Of(fs.readFileSync(path.join(dir, "r/twin"))), files[2]?.sha256);
  });
});

test("framesToPack() is one for each core, two at least and three at most", () => {
  assert.deepEqual([1, 2, 3, 4, 64].map(framesToPack), [2, 2, 3, 3, 3]);
});

for (const framesHeld of [2, 3, 4]) {
  test(`packLayer() asks for no file while ${framesHeld} frames are held`, async () => {
    const headerBytes = 512;
    let written = 0;
    const writtenBefore: number[] = [];
    async function* wholeFrames() {
      for (let n = 0; n < framesHeld + 2; n++) {
        writtenBefore.push(written);
        const content = new Uint8Array(maxFrameRawBytes - headerBytes);
        // So that it is no bomb.
        content.set(randomBytes(64 * 1024));
        yield await Promise.resolve(sourceFile(`inductor/${n}`, content));
      }
    }
    const write = () => {
      written++;
      return Promise.resolve();
    };
    await packLayer(wholeFrames(), { write }, { framesHeld });
    const held = writtenBefore.map((before, asked) => asked - before);
    // The one that is asked for comes on top.
    assert.equal(Math.max(...held) + 1, framesHeld);
  });
}

test("packLayer() gives compressed memory back once it is written", async () => {
  const content = new Uint8Array(randomBytes(1024 * 1024));
  const written: Uint8Array[] = [];
  const write = (bytes: Uint8Array) => {
    written.push(bytes);
    return Promise.resolve();
  };
  const { layer } = await packLayer(oneByOne([sourceFile("inductor/a", content)]), { write });
  assert.equal(written[0]?.length, 0);
  assert.ok(layer.index.offset > content.length);
});
