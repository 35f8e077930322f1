/** What is wrong only in its place: torn and replayed generations, flipped bits, links in the way, twins of names. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { CacheError } from "../../lib/errors.ts";
import { load } from "../../lib/load.ts";
import { flipped } from "../damage.ts";
import { entry, tarGz } from "../foreign/tar_writer.ts";
import { inDirectoryAtOnce, key, makePod, newWorld, readFiles, withDirectory } from "../pods.ts";
import { attack, isNative, refused, type Scene, type Way, ways } from "./attack.ts";
import { type HostileCache, hostileLayer, oneLayer, plant } from "./native_writer.ts";

const files = { "inductor/a/x": "content of x", "inductor/y": "content of y" };
const good = () => oneLayer(files);
const restored = { "a/x": "content of x", y: "content of y" };
const goodArchive = () =>
  tarGz(entry({ name: "./a/x", content: "content of x" }), entry({ name: "./y", content: "content of y" }));

async function hostileOf(way: Way): Promise<HostileCache | Uint8Array> {
  return isNative(way) ? await good() : goodArchive();
}

for (const way of ways) {
  test(`the writers' own cache is taken, unless it is made wrong: ${way}`, async () => {
    const { ended, files } = await attack(way, await hostileOf(way));
    assert.equal(ended, "SUCCESS");
    if (way.startsWith("load")) assert.deepEqual(files, restored);
  });
}

function generationFile({ storeDir }: Scene, n = 1): string {
  return path.join(storeDir, "native", key, "generations", `${String(n).padStart(10, "0")}.json`);
}

test("12. a manifest torn at every length is no cache, and one that is older loads", async () => {
  let whole = Buffer.alloc(0);
  const cache = await good();
  await attack("load of a layer", cache, (scene) => void (whole = fs.readFileSync(generationFile(scene))));
  assert.ok(whole.length > 500);
  for (let length = 0; length < whole.length; length += 7) {
    const torn = { ...cache, generation: (right: Uint8Array) => right.slice(0, length) };
    await refused("load of a layer", torn, /none of its generations is valid/);
  }
  const { ended, files, notices } = await attack("load of a layer", cache, (scene) => {
    fs.writeFileSync(generationFile(scene, 2), whole.subarray(0, 300));
  });
  assert.equal(ended, "SUCCESS");
  assert.deepEqual(files, restored);
  assert.match(notices.join("\n"), /generation 2 is not valid: it ends within its first line/);
});

for (
  const [what, change, problem] of [
    ["of another key", { key: "another-key" }, /it belongs to another key, "another-key"/],
    ["of another store", { store_id: "f".repeat(32) }, /it belongs to another store/],
    ["that was another number", { n: 7 }, /it says it is number 7/],
  ] as const
) {
  test(`12. a manifest ${what} is no cache`, async () => {
    const cache = { ...await good(), manifest: (right: object) => ({ ...right, ...change }) };
    await refused("load of a layer", cache, problem);
  });
}

test("12. an old generation under a new number is no cache, and the newest loads", async () => {
  const { ended, files, notices } = await attack("load of a layer", await good(), (scene) => {
    fs.copyFileSync(generationFile(scene), generationFile(scene, 2));
  });
  assert.equal(ended, "SUCCESS");
  assert.deepEqual(files, restored);
  assert.match(notices.join("\n"), /generation 2 is not valid: it says it is number 1/);
});

test("12. every flipped bit of a layer, frame or index, is refused", async () => {
  const cache = await good();
  const [layer] = cache.layers;
  assert.ok(layer);
  for (let at = 0; at < layer.bytes.length; at += 3) {
    const damaged = { layers: [{ ...layer, bytes: flipped(layer.bytes, at) }] };
    for (const way of ways.filter(isNative)) await refused(way, damaged, /as its SHA-256 is not/);
  }
});

test("12. a layer cut at any length is refused", async () => {
  const cache = await good();
  const [layer] = cache.layers;
  assert.ok(layer);
  for (let length = 0; length < layer.bytes.length; length += 11) {
    const cut = { layers: [{ ...layer, bytes: layer.bytes.slice(0, length) }] };
    await refused("load of a layer", cut, /as it has \d+ bytes where its generation says/);
  }
});

test("11. a layer is restored as its index says, whatever its tar headers say", async () => {
  const cache = await oneLayer(files, {
    index: (index) => ({
      ...index,
      files: index.files.map((file) => ({ ...file, path: `${file.path}-by-index` })),
    }),
  });
  const { ended, files: found } = await attack("load of a layer", cache);
  assert.equal(ended, "SUCCESS");
  assert.deepEqual(Object.keys(found).sort(), ["a/x-by-index", "y-by-index"]);
});

test("7. nobody but owner and group may write to what is restored", async () => {
  const cache = await oneLayer(files, {
    index: (index) => ({ ...index, files: index.files.map((file) => ({ ...file, mode: 0o777 })) }),
  });
  const archive = tarGz(entry({ name: "./y", mode: 0o777 }));
  for (const [way, hostile] of [["load of a layer", cache], ["load of an archive", archive]] as const) {
    await withMode(way, hostile, (mode) => assert.equal(mode & 0o7777, 0o775, way));
  }
});

/** Tells the mode of the file "y", before the scene is cleaned up. */
async function withMode(
  way: Way,
  hostile: HostileCache | Uint8Array,
  check: (mode: number) => void,
): Promise<void> {
  const { ended, modes } = await attack(way, hostile);
  assert.equal(ended, "SUCCESS");
  check(modes["y"] ?? -1);
}

const twinNames = [["case", "Twin", "tWIN"], ["Unicode", "caf\u00e9", "cafe\u0301"]] as const;

for (const [what, one, other] of twinNames) {
  for (const way of ways.filter((way) => way.startsWith("load"))) {
    test(`5. ${what} twins are both restored where the file system holds both, else refused: ${way}`, async () => {
      const hostile = isNative(way)
        ? await oneLayer({ [`inductor/${one}`]: "1", [`inductor/${other}`]: "2" })
        : tarGz(entry({ name: `./${one}`, content: "1" }), entry({ name: `./${other}`, content: "2" }));
      const { ended, files } = await attack(way, hostile);
      if (ended instanceof CacheError) assert.equal(ended.code, "local_io");
      else assert.deepEqual(files, { [one]: "1", [other]: "2" });
    });
  }
}

for (const way of ways.filter((way) => way.startsWith("load"))) {
  test(`4., 6. a symlink in the target is never written through: ${way}`, async () => {
    const { ended, notices, files } = await attack(way, await hostileOf(way), ({ base, pod }) => {
      // As a first layer would have planted it, and as somebody with an account on the pod can.
      fs.symlinkSync(path.join(base, "target-evil"), path.join(pod.dir, "a"));
    });
    assert.equal(ended, "SUCCESS", "what does not lie behind it is restored");
    assert.match(notices.join("\n"), /is left out: its directory is something else here/);
    assert.deepEqual(Object.keys(files).sort(), ["a", "y"]);
  });

  test(`4. a directory that becomes a symlink while files are placed is not written through: ${way}`, async () => {
    const { ended, files } = await attack(way, await hostileOf(way), ({ base, pod }) => {
      fs.symlinkSync(path.join(base, "canary"), path.join(pod.dir, "y"));
    });
    assert.equal(ended, "SUCCESS");
    assert.equal(files["y"]?.slice(0, 3), "-> ", "what is there wins");
  });
}

test("14. names of newlines and escape sequences are restored, and shown escaped", async () => {
  const name = "\u001b[2J\n\u202e'\"\u009b";
  const cache = await oneLayer({ [`inductor/${name}/x`]: "1" });
  const { ended, files } = await attack("load of a layer", cache);
  assert.equal(ended, "SUCCESS");
  assert.deepEqual(files, { [`${name}/x`]: "1" });
  // In the way of it lies a file: the notice names the place.
  const blocked = await attack(
    "load of a layer",
    await oneLayer({ [`inductor/${name}/x`]: "1", "inductor/z": "" }),
    (scene) => {
      fs.writeFileSync(path.join(scene.pod.dir, name), "mine");
    },
  );
  assert.match(blocked.notices.join("\n"), /\\u001b\[2J\\n\\u202e'\\"\\u009b\/x" is left out/);
});

test("10. a suspiciously large count of layers is read a few at a time", () =>
  withDirectory(async (base) => {
    const world = newWorld(inDirectoryAtOnce.files);
    const { store } = await inDirectoryAtOnce.make(world, base);
    let open = 0;
    let most = 0;
    const counting = {
      ...store,
      openLayer: async (...args: Parameters<typeof store.openLayer>) => {
        most = Math.max(most, ++open);
        const file = await store.openLayer(...args);
        return file && {
          ...file,
          read: async (offset: number, length: number) => {
            const bytes = await file.read(offset, length);
            open = 0;
            return bytes;
          },
        };
      },
    };
    const layers = await Promise.all(
      Array.from({ length: 40 }, (_, at) => hostileLayer({ [`inductor/${at}`]: String(at) })),
    );
    plant({ layers }, { store, storeDir: path.join(base, "store") });
    const pod = makePod(world, path.join(base, "target"));
    assert.equal((await load(pod, counting)).status, "SUCCESS");
    assert.equal(Object.keys(readFiles(pod.dir)).length, 40);
    assert.ok(most <= 4, `${most} at once`);
  }));
