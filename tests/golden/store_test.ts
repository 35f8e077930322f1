/** The store in tests/golden/store: what is written must stay what it is, and what was written must stay readable. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type SourceFile, unpackLayer } from "../../lib/archive.ts";
import { describeFrame } from "../../lib/archive/frames.ts";
import { type LayerIndex, maxIndexRawBytes } from "../../lib/archive/index.ts";
import { readFrame, readIndex } from "../../lib/archive/read.ts";
import { decompressFrame } from "../../lib/archive/zstd.ts";
import { findHead, lookAt, readGeneration } from "../../lib/history.ts";
import { type CacheKey, parseKey } from "../../lib/key.ts";
import { openLayers } from "../../lib/layers.ts";
import { encodeGeneration, type Layer, type Manifest } from "../../lib/manifest.ts";
import { openStore } from "../../lib/store/directory.ts";
import { realSystem } from "../../lib/system/real.ts";
import { byPath, layerFile, pack, sha256Of, sourceFile, type Unpacked } from "../archive/examples.ts";

const key: CacheKey = parseKey("golden", "key");
const storeId = "00112233445566778899aabbccddeeff";

function place(name: string): string {
  return fileURLToPath(new URL(`store/${name}`, import.meta.url));
}

function golden(name: string): Uint8Array {
  return new Uint8Array(fs.readFileSync(place(name)));
}

interface ListedFile {
  readonly path: string;
  readonly mode: string;
  readonly mtime: string;
  readonly text: string;
}

/** The files that a layer is made of. */
function filesOf(n: number): SourceFile[] {
  const listed: readonly ListedFile[] = JSON.parse(fs.readFileSync(place(`layer-${n}.json`), "utf8"));
  return listed.map(({ path, mode, mtime, text }) =>
    sourceFile(path, text, { mode: Number.parseInt(mode, 8), mtimeNs: BigInt(mtime) })
  );
}

const layerNumbers = [1, 2] as const;

/** What a generation says about a layer whose bytes are these: the index follows the frames. */
function describeLayer(n: number, bytes: Uint8Array): Layer {
  let offset = 0;
  for (let frame = describeFrame(bytes); frame; frame = describeFrame(bytes.subarray(offset))) {
    offset += frame.frameBytes;
  }
  const index = bytes.subarray(offset);
  const files = filesOf(n);
  return {
    name: `${sha256Of(bytes)}-${String(n).repeat(32)}.tar.zst`,
    bytes: bytes.length,
    index: { offset, bytes: index.length, sha256: sha256Of(index) },
    files: files.length,
    raw_bytes: files.reduce((sum, { content }) => sum + content.length, 0),
  };
}

/** The generations, made of what is in the layers. */
function generations(): Uint8Array[] {
  const [first, second] = layerNumbers.map((n) => describeLayer(n, golden(`layer-${n}.tar.zst`)));
  assert.ok(first && second);
  const manifest: Manifest = {
    format: 1,
    store_id: storeId,
    key,
    environment: { accelerator: "cuda", cpu_isa: null, devices: ["NVIDIA H100 80GB HBM3"], python: "3.12" },
    n: 1,
    parent: null,
    nonce: "1".repeat(32),
    created_at: "2026-01-02T03:04:05.678Z",
    written_by: "b10-compile-cache 0.1.0",
    roots: { inductor: { path: "/tmp/torchinductor_root" }, triton: { path: "/root/.triton/cache" } },
    layers: [first],
    condemned: [],
    cold_start: null,
  };
  const one = encodeGeneration(manifest);
  const two = encodeGeneration({
    ...manifest,
    n: 2,
    parent: { n: 1, sha256: one.sha256 },
    nonce: "2".repeat(32),
    created_at: "2026-01-02T03:04:06.789Z",
    layers: [first, second],
    condemned: [`${"e".repeat(64)}-${"e".repeat(32)}.tar.zst`],
    cold_start: 61.5,
  });
  const torn = encodeGeneration({ ...manifest, n: 3, parent: { n: 2, sha256: two.sha256 } }).bytes.subarray(
    0,
    200,
  );
  return [one.bytes, two.bytes, torn];
}

if (process.env["B10_UPDATE_GOLDEN"]) {
  for (const n of layerNumbers) fs.writeFileSync(place(`layer-${n}.tar.zst`), (await pack(filesOf(n))).bytes);
  for (const [at, bytes] of generations().entries()) {
    fs.writeFileSync(place(`generation-${at + 1}.txt`), bytes);
  }
}

test("generation files are written as they were", () => {
  for (const [at, bytes] of generations().entries()) {
    const name = `generation-${at + 1}.txt`;
    const text = new TextDecoder().decode(bytes);
    assert.equal(text, fs.readFileSync(place(name), "utf8"), `${name}; B10_UPDATE_GOLDEN=1 writes it anew`);
  }
});

interface Decoded {
  readonly tar: Uint8Array;
  readonly index: LayerIndex;
}

async function decode(bytes: Uint8Array, layer: Layer): Promise<Decoded> {
  const file = layerFile(bytes);
  const index = await readIndex(file, layer);
  const frames = await Promise.all(index.frames.map((frame) => readFrame(file, frame, layer.name)));
  return { tar: Buffer.concat(frames), index };
}

/** SHA-256 of what the golden layers decode to: `zstd -dc layer-1.tar.zst`, and the same of the index's frame. */
const digests = {
  1: {
    tar: "2b34120a909cbedcaa5d7100daf84514120991e77fba7373f13a326e2b1ec6ab",
    index: "4f6458547fae455f3085d617b4c512b452e2f265780d6cb522cdc8d4491fc77c",
  },
  2: {
    tar: "f1fbda0b22ef63f2bef04f2cb58e94af318860140e8350df796a47a0a5d016cb",
    index: "03d2e561a109df512bb482951bf6ad95b3b8a4fc0a02d9340df9be012034f326",
  },
} as const;

test("layers decode to the same tar stream as they did", async () => {
  for (const n of layerNumbers) {
    const stored = golden(`layer-${n}.tar.zst`);
    const before = await decode(stored, describeLayer(n, stored));
    assert.equal(sha256Of(before.tar), digests[n].tar);
    const packed = await pack(filesOf(n));
    const now = await decode(packed.bytes, packed.layer);
    assert.equal(sha256Of(now.tar), digests[n].tar, `layer-${n}.tar.zst; B10_UPDATE_GOLDEN=1 writes it anew`);
    assert.deepEqual(now.index.files, before.index.files);
    assert.deepEqual(
      now.index.frames.map(({ raw_bytes }) => raw_bytes),
      before.index.frames.map(({ raw_bytes }) => raw_bytes),
    );
  }
});

test("the golden layers' indexes are as they were", async () => {
  for (const n of layerNumbers) {
    const stored = golden(`layer-${n}.tar.zst`);
    const { index } = describeLayer(n, stored);
    const compressed = stored.subarray(index.offset + 8);
    const rawBytes = describeFrame(compressed)?.contentBytes ?? maxIndexRawBytes;
    assert.equal(sha256Of(await decompressFrame(compressed, rawBytes)), digests[n].index);
  }
});

/** Puts the golden files where they belong, below a directory that is removed afterwards. */
async function withGoldenStore(act: (dir: string) => Promise<void>): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "b10-golden-"));
  try {
    const native = path.join(dir, "native");
    fs.mkdirSync(path.join(native, "golden/generations"), { recursive: true });
    fs.mkdirSync(path.join(native, "golden/layers"));
    fs.copyFileSync(place("format.txt"), path.join(native, "format.json"));
    for (const n of [1, 2, 3]) {
      fs.copyFileSync(
        place(`generation-${n}.txt`),
        path.join(native, `golden/generations/000000000${n}.json`),
      );
    }
    const [line = ""] = fs.readFileSync(place("generation-2.txt"), "utf8").split("\n");
    const { layers }: { layers: readonly Layer[] } = JSON.parse(line);
    for (const [at, { name }] of layers.entries()) {
      fs.copyFileSync(place(`layer-${at + 1}.tar.zst`), path.join(native, "golden/layers", name));
    }
    await act(dir);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

test("the golden store is read: the newest valid generation, and exactly its files", () =>
  withGoldenStore(async (dir) => {
    const store = await openStore(realSystem(), dir);
    assert.ok(store);
    assert.equal(store.id, storeId);
    assert.deepEqual(await store.keys(), [key]);
    assert.deepEqual(await lookAt(store, key), { numbers: [3, 2, 1], next: 4 });
    assert.deepEqual(await readGeneration(store, key, 3), {
      kind: "burned",
      n: 3,
      problem: "it ends within its first line",
    });
    const { generation } = await findHead(store, key);
    assert.equal(generation?.manifest.n, 2);
    await using layers = await openLayers(store, key, generation.manifest);
    const restored: Unpacked[] = [];
    for (const contents of layers.contents) {
      const { name } = contents.layer;
      const files = [...layers.plan.values()].filter(({ layer }) => layer === name);
      await unpackLayer({ file: layers.file(name), contents }, files, ({ path, mode, mtime }, content) => {
        restored.push({ path, content: new Uint8Array(content), mode, mtimeNs: BigInt(mtime) });
      });
    }
    assert.equal(restored.length, 9);
    assert.deepEqual(byPath(restored), { ...byPath(filesOf(1)), ...byPath(filesOf(2)) });
  }));

test("the generation before has the files of the first layer alone", () =>
  withGoldenStore(async (dir) => {
    const store = await openStore(realSystem(), dir);
    assert.ok(store);
    const read = await readGeneration(store, key, 1);
    assert.ok(read.kind === "valid");
    await using layers = await openLayers(store, key, read.generation.manifest);
    assert.deepEqual([...layers.plan.keys()].sort(), filesOf(1).map((file) => file.path).sort());
  }));
