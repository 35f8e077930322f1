import assert from "node:assert/strict";
import { test } from "node:test";
import { CacheError } from "../lib/errors.ts";
import type { LayerFile, Store } from "../lib/store.ts";
import { requireDigest, verifyLayer } from "../lib/verify_layer.ts";
import {
  assemble,
  indexedFile,
  layerFile,
  type LayerInMemory,
  pack,
  sha256Of,
  sourceFile,
  textBytes,
} from "./archive/examples.ts";
import { flipped } from "./damage.ts";
import { only } from "./fake_system.ts";
import { cacheError, exampleKey as key } from "./store/examples.ts";

interface Watched {
  readonly store: Store;
  /** How many files are open. */
  open(): number;
}

/** A store with one file, by that name; or with none. */
function storeOf(name: string, file: LayerFile | undefined): Watched {
  let open = 0;
  const store = only<Store>("store", {
    openLayer: (at, asked) => {
      if (at !== key || asked !== name || !file) return Promise.resolve(undefined);
      open++;
      return Promise.resolve({
        ...file,
        [Symbol.asyncDispose]: () => {
          open--;
          return Promise.resolve();
        },
      });
    },
  });
  return { store, open: () => open };
}

interface Options {
  /** What the store holds; by default what the generation says. */
  readonly file?: LayerFile | undefined;
  readonly signal?: AbortSignal;
  readonly onBytes?: (bytes: number) => void;
}

async function verify({ bytes, layer }: LayerInMemory, options: Options = {}): Promise<void> {
  const { store, open } = storeOf(layer.name, "file" in options ? options.file : layerFile(bytes));
  const { signal = new AbortController().signal, onBytes = () => {} } = options;
  try {
    await verifyLayer(store, key, layer, { signal, onBytes });
  } finally {
    assert.equal(open(), 0, "the layer is closed");
  }
}

/** The layer is refused, and named. */
async function assertRefused(made: LayerInMemory, options: Options, what: string): Promise<void> {
  await assert.rejects(verify(made, options), (error) => {
    assert.ok(error instanceof CacheError, `${what}: ${error}`);
    assert.ok(error.code === "bad_layer" || error.code === "bad_index", `${what}: ${error.code}`);
    assert.equal(error.layer, made.layer.name, what);
    return true;
  });
}

/** `content` as it lies in a frame, up to a block's end. */
function blocks(...contents: readonly string[]): Uint8Array {
  return Buffer.concat(contents.map((content) => {
    const padded = new Uint8Array(Math.ceil(content.length / 512) * 512);
    padded.set(textBytes(content));
    return padded;
  }));
}

const long = "long ".repeat(200);

/** Two frames that share a file, and a third one that holds no file's bytes. */
function framed(): Promise<LayerInMemory> {
  const raw = blocks("small", long);
  return assemble([raw.slice(0, 1024), raw.slice(1024), blocks("the end")], [
    indexedFile("r/small", textBytes("small")),
    indexedFile("r/long", textBytes(long), { offset: 512 }),
    indexedFile("r/empty", new Uint8Array(0)),
  ]);
}

const packed = () =>
  pack([
    sourceFile("r/a", "a"),
    sourceFile("r/b", "b"),
    sourceFile("r/twin", "a"),
    sourceFile("r/empty", ""),
  ]);

const layers: Readonly<Record<string, () => Promise<LayerInMemory>>> = {
  "as a save packs it": packed,
  "of several frames": framed,
  "of no files": () => pack([]),
};

for (const [what, make] of Object.entries(layers)) {
  test(`a whole layer ${what} passes, and its bytes add up`, async () => {
    const made = await make();
    let told = 0;
    await verify(made, { onBytes: (bytes) => told += bytes });
    assert.equal(told, made.layer.raw_bytes);
  });

  test(`each byte that is wrong in a layer ${what} is found`, async () => {
    const made = await make();
    for (let at = 0; at < made.bytes.length; at++) {
      await assertRefused(made, { file: layerFile(flipped(made.bytes, at)) }, `byte ${at}`);
    }
  });

  test(`a layer ${what} that was cut at any length is found, also where its size is told as before`, async () => {
    const made = await make();
    for (let length = 0; length < made.bytes.length; length++) {
      const file = layerFile(made.bytes.slice(0, length));
      await assertRefused(made, { file }, `${length} bytes`);
      await assertRefused(made, { file: { ...file, bytes: made.layer.bytes } }, `${length} bytes, unnoticed`);
    }
    const file = layerFile(Buffer.concat([made.bytes, new Uint8Array(1)]));
    await assertRefused(made, { file }, "a byte more");
  });
}

test("a file whose bytes are not what the index says is found, in whatever place", async () => {
  const wrong = sha256Of(textBytes("something else"));
  const sound = [
    indexedFile("r/first", textBytes("first")),
    indexedFile("r/second", textBytes("second"), { offset: 512 }),
    indexedFile("r/empty", new Uint8Array(0)),
  ];
  for (const { path } of sound) {
    const files = sound.map((file) => file.path === path ? { ...file, sha256: wrong } : file);
    const made = await assemble([blocks("first", "second")], files);
    await assert.rejects(
      verify(made),
      cacheError(
        "bad_layer",
        new RegExp(`^Cannot use layer ${made.layer.name} as "${path}" has another SHA-256$`),
      ),
    );
    await assertRefused(made, {}, path);
  }
});

test("what an index claims is checked before any content is read", async () => {
  const outside = await assemble([blocks("a")], [indexedFile("../a", textBytes("a"))]);
  const file = layerFile(outside.bytes);
  await assert.rejects(verify(outside, { file }), cacheError("bad_index", /the path "\.\.\/a" must /));
  assert.deepEqual(file.reads.map(([offset]) => offset), [outside.layer.index.offset]);
});

test("an absent layer is a bad one", async () => {
  const made = await packed();
  await assertRefused(made, { file: undefined }, "absent");
  await assert.rejects(
    verify(made, { file: undefined }),
    cacheError("bad_layer", new RegExp(`^Cannot use layer ${made.layer.name} as it is not in the store$`)),
  );
});

test("bytes that are wrong once and right when they are read again are no damage", async () => {
  const { bytes, layer } = await packed();
  const file = layerFile(bytes);
  let reads = 0;
  const stale: LayerFile = {
    ...file,
    read: async (offset, length) => {
      const read = await file.read(offset, length);
      return ++reads % 2 === 1 ? read.fill(0) : read;
    },
  };
  await verify({ bytes, layer }, { file: stale });
  assert.equal(reads, 4);
});

test("a share that fails is not a damaged layer", async () => {
  const { bytes, layer } = await packed();
  const file: LayerFile = {
    ...layerFile(bytes),
    read: () => Promise.reject(new CacheError("store_io", "EIO")),
  };
  await assert.rejects(verify({ bytes, layer }, { file }), cacheError("store_io", /^EIO$/));
});

test("verifyLayer() stops at the next file once it is aborted", async () => {
  const made = await packed();
  const reason = new Error("stop");
  await assert.rejects(verify(made, { signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  let files = 0;
  const onBytes = () => {
    if (++files === 2) controller.abort(reason);
  };
  await assert.rejects(verify(made, { signal: controller.signal, onBytes }), reason);
  assert.equal(files, 2);
});

test("onBytes is told of a file once its digest is found right", async () => {
  const content = ["first", "second", "third"].map(textBytes);
  const files = content.map((bytes, at) => indexedFile(`r/${at}`, bytes, { offset: 512 * at }));
  const [first = assert.fail(), second = assert.fail(), third = assert.fail()] = files;
  const made = await assemble([blocks("first", "second", "third")], [
    first,
    { ...second, sha256: third.sha256 },
    third,
  ]);
  const told: number[] = [];
  await assertRefused(made, { onBytes: (bytes) => told.push(bytes) }, "the second file");
  assert.deepEqual(told, [5]);
});

test("requireDigest() names layer and path", () => {
  const content = textBytes("content");
  const file = { path: 'r/a "b"', sha256: sha256Of(content), layer: "the-layer" };
  requireDigest(file, content);
  assert.throws(
    () => requireDigest(file, textBytes("other")),
    cacheError("bad_layer", /^Cannot use layer the-layer as "r\/a \\"b\\"" has another SHA-256$/),
  );
});
