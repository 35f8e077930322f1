import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { CacheError, messageOf } from "../../lib/errors.ts";
import { parseKey } from "../../lib/key.ts";
import { openOrCreateStore, openStore } from "../../lib/store/directory.ts";
import { type Store, useNoteIntervalMs } from "../../lib/store.ts";
import type { FileSystem } from "../../lib/system.ts";
import { only } from "../fake_system.ts";
import { storeContract, type StoreUnderTest } from "../store_contract.ts";
import { cacheError, exampleKey as key, failure } from "./examples.ts";
import { failEachCall, Faults, withoutFsync, withoutLinks } from "./faults.ts";
import { asIs, Place, unfinished, ways, type Wrap } from "./place.ts";

const bytes = new TextEncoder().encode("the bytes of a generation");

const otherKey = parseKey("llama-70b", "key");

async function storeInDirectory(wrap: Wrap): Promise<StoreUnderTest> {
  const place = new Place();
  return {
    store: await place.openOrCreate(wrap),
    clock: place.clock,
    open: () => place.opened(wrap),
    unfinished: () => Promise.resolve(unfinished(place)),
    [Symbol.asyncDispose]: () => Promise.resolve(place[Symbol.dispose]()),
  };
}

for (const { commit, wrap } of ways) {
  storeContract(`a directory that commits by ${commit}`, () => storeInDirectory(wrap));
}

test("format.json says what docs/format.md says, in the way that names are put", async () => {
  for (const { commit, wrap } of ways) {
    using place = new Place();
    const { id } = await place.openOrCreate(wrap);
    const file = place.at(commit === "link" ? "format.json" : "format.json/content");
    assert.equal(
      fs.readFileSync(file, "utf8"),
      `{"format":1,"store_id":"${id}","commit":"${commit}","requires":[]}\n`,
    );
    assert.deepEqual(unfinished(place), []);
  }
});

test("a generation is a file, or where there are no hard links a directory that holds one", async () => {
  for (const { commit, wrap } of ways) {
    using place = new Place();
    await (await place.openOrCreate(wrap)).putGeneration(key, 7, bytes);
    const name = `${key}/generations/0000000007.json`;
    assert.deepEqual(
      place.tree(`${key}/generations`),
      commit === "link" ? [name] : [`${name}/`, `${name}/content`],
    );
    assert.deepEqual(place.tree(`${key}/incoming`), []);
  }
});

/** Each of these calls fails, from the beginning. */
function failing(calls: readonly string[], errno: string): Wrap {
  const faults = new Faults();
  faults.fail(errno, calls);
  return faults.over;
}

test("every answer of link() that says there are no hard links leads to rename", async () => {
  for (const errno of ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EMLINK", "EXDEV"]) {
    using place = new Place();
    await place.openOrCreate(failing(["link"], errno));
    assert.ok(place.tree().includes("format.json/content"), errno);
  }
});

test("where link() fails for another reason nothing is decided and nothing is left", async () => {
  for (
    const [errno, code] of [["EIO", "store_io"], ["EACCES", "store_io"], ["ENOSPC", "no_space"]] as const
  ) {
    using place = new Place();
    await assert.rejects(
      () => place.openOrCreate(failing(["link"], errno)),
      cacheError(code, new RegExp(errno)),
    );
    assert.deepEqual(place.tree(), []);
  }
});

/** Renaming a directory onto another one puts it in its place, whatever is in that. */
const overwrites: Wrap = (over) => ({
  ...over,
  rename: async (from, to) => {
    fs.rmSync(to, { recursive: true, force: true });
    await over.rename(from, to);
  },
});

const neithers: readonly Wrap[] = [
  (fs) => withoutLinks(overwrites(fs)),
  failing(["link", "rename"], "EPERM"),
  failing(["link", "rename"], "ENOTSUP"),
];

test("where neither links nor renames exclude each other the store is unsupported, and none is made", async () => {
  for (const neither of neithers) {
    using place = new Place();
    await assert.rejects(
      () => place.openOrCreate(neither),
      cacheError("store_unsupported", /has neither hard links nor a rename of directories/),
    );
    assert.deepEqual(place.tree(), []);
    assert.equal(await place.open(neither), undefined);
  }
});

test("all pods commit in the way that format.json says, and in no other", async () => {
  using renaming = new Place();
  const first = await renaming.openOrCreate(withoutLinks);
  const second = await renaming.openOrCreate();
  assert.equal(await second.putGeneration(key, 1, bytes), "put");
  assert.equal(await first.putGeneration(key, 1, bytes), "taken");
  assert.ok(renaming.tree().includes(`${key}/generations/0000000001.json/content`));

  using linking = new Place();
  await linking.openOrCreate();
  const linkless = await linking.openOrCreate(withoutLinks);
  await assert.rejects(() => linkless.putGeneration(key, 1, bytes), cacheError("store_io", /EPERM/));
  assert.equal(await linkless.readGeneration(key, 1), undefined);
  assert.deepEqual(unfinished(linking), []);
});

test("of many pods that make the store at once all end up with one", async () => {
  for (const { wrap } of ways) {
    using place = new Place();
    const stores = await Promise.all(Array.from({ length: 8 }, () => place.openOrCreate(wrap)));
    assert.equal(new Set(stores.map((store) => store.id)).size, 1);
    assert.equal((await place.opened()).id, stores[0]?.id);
    assert.deepEqual(unfinished(place), []);
  }
});

test("where there is no directory, no native/ or no format.json there is no store yet", async () => {
  using place = new Place();
  assert.equal(await place.open(), undefined);
  fs.mkdirSync(place.at(""));
  assert.equal(await place.open(), undefined);
  assert.equal(await openStore(place.world(), path.join(place.dir, "not/there")), undefined);
  fs.writeFileSync(path.join(place.dir, "file"), "");
  assert.equal(await openStore(place.world(), path.join(place.dir, "file/x")), undefined);
  assert.deepEqual(fs.readdirSync(place.dir), ["file", "native"]);
});

test("a store is made only below a directory that is there", async () => {
  using place = new Place();
  const dir = path.join(place.dir, "not_mounted");
  await assert.rejects(() => openOrCreateStore(place.world(), dir), cacheError("store_io", /ENOENT/));
  assert.deepEqual(fs.readdirSync(place.dir), []);
});

const storeId = "00112233445566778899aabbccddeeff";

const newer: readonly (readonly [format: unknown, requires: unknown, rest: object])[] = [
  [2, [], { store_id: storeId, commit: "link" }],
  [1000, [], { store_id: storeId, commit: "link" }],
  [0, [], { store_id: storeId, commit: "link" }],
  [2, [], { store_id: "in another form", commit: "lease" }],
  [2, [], {}],
  [2, [{ name: "encryption", level: 2 }], {}],
  [1, ["encryption"], { store_id: storeId, commit: "link" }],
  [1, ["a", "b"], { store_id: storeId, commit: "lease" }],
  [1, { encryption: 2 }, { store_id: storeId, commit: "link" }],
  [2, { encryption: 2 }, {}],
  ["2", [], {}],
  [null, [], { store_id: storeId, commit: "link" }],
];

test("a newer format, or a requirement that is not known, is unsupported, and stays as it is", async () => {
  for (const [format, requires, rest] of newer) {
    using place = new Place();
    const text = JSON.stringify({ format, requires, ...rest });
    place.write("format.json", text);
    const says = [
      `as it has format ${JSON.stringify(format)} and requires ${JSON.stringify(requires)}, `,
      "where this program knows format 1 and no requirement; use a newer b10-compile-cache",
    ].join("");
    const refuses = (error: unknown) =>
      cacheError("store_unsupported")(error) && messageOf(error).includes(says);
    await assert.rejects(() => place.open(), refuses);
    await assert.rejects(() => place.openOrCreate(), refuses);
    assert.deepEqual(place.tree(), ["format.json"]);
    assert.equal(fs.readFileSync(place.at("format.json"), "utf8"), text);
  }
});

test("fields that are not known do not keep a reader out: requires would", async () => {
  using place = new Place();
  place.write(
    "format.json",
    `{"format":1,"store_id":"${storeId}","commit":"link","requires":[],"x":1}`,
  );
  assert.equal((await place.opened()).id, storeId);
});

const whole = `{"format":1,"store_id":"${storeId}","commit":"link","requires":[]}`;
const torn = ["", whole.slice(0, -1), whole.slice(0, 5), "\0".repeat(71), "null", "[]", "{}", "\ufffd"];

test("a torn format.json is no store yet, and the next one that is made takes its place", async () => {
  for (const { commit, wrap } of ways) {
    const tornFile = commit === "link" ? "format.json" : "format.json/content";
    const fast: Wrap = (fs) => wrap(withoutFsync(fs));
    for (const text of torn) {
      using place = new Place();
      place.write(tornFile, text);
      assert.equal(await place.open(), undefined, text);
      assert.deepEqual(place.tree().filter((name) => !name.endsWith("/")), [tornFile]);
      const { id } = await place.openOrCreate(fast);
      assert.equal((await place.opened()).id, id);
      assert.equal((await place.openOrCreate(fast)).id, id);
      const kept = unfinished(place);
      assert.ok(kept.every((name) => name.startsWith("format.json.torn-")), kept.join());
    }
  }
});

test("a good format.json that takes a torn one's place meanwhile is not moved away for good", async () => {
  for (const { wrap } of ways) {
    using place = new Place();
    place.write("format.json", "torn");
    let first: Store | undefined;
    // Another pod makes the store between this one's look at the torn file and its move.
    const slow: Wrap = (fs) => ({
      ...wrap(fs),
      rename: async (from, to) => {
        if (from === place.at("format.json")) first ??= await place.openOrCreate(wrap);
        await fs.rename(from, to);
      },
    });
    const second = await place.openOrCreate(slow);
    assert.notEqual(first, undefined);
    assert.equal(second.id, first?.id);
    assert.equal((await place.opened(wrap)).id, first?.id);
  }
});

test("a directory that says it has no bytes is still the place of a generation", async () => {
  using place = new Place();
  const zeroSized: Wrap = (fs) => ({
    ...withoutLinks(fs),
    open: async (file, mode) => {
      const opened = await fs.open(file, mode);
      const stat = async () => {
        const found = await opened.stat();
        return found.kind === "directory" ? { ...found, size: 0 } : found;
      };
      return { ...opened, stat };
    },
  });
  const { id } = await place.openOrCreate(zeroSized);
  const store = await place.opened(zeroSized);
  assert.equal(store.id, id);
  await store.putGeneration(key, 1, bytes);
  assert.deepEqual(Uint8Array.from(await store.readGeneration(key, 1) ?? []), bytes);
});

test("names that are no generation's are passed over in generations/", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  await store.putGeneration(key, 2, bytes);
  for (const name of ["1.json", "0000000001.json.tmp", ".nfs0001", "0000000000.json", "notes.txt"]) {
    place.write(`${key}/generations/${name}`, "foreign");
  }
  fs.mkdirSync(place.at(`${key}/generations/directory`));
  assert.deepEqual(await store.generationNumbers(key), [2]);
});

test("what is no key's directory is passed over beside the keys", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  await store.putGeneration(key, 1, bytes);
  for (const name of ["leases", ".hidden", "-dash", "with space", "x".repeat(101)]) {
    fs.mkdirSync(place.at(name));
  }
  place.write("file", "not a directory");
  fs.symlinkSync(place.at(key), place.at("symlink"));
  assert.deepEqual(await store.keys(), [key]);
});

test("of a file too large to be a generation one byte more is read than one may have", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  place.write(`${key}/generations/0000000001.json`, "");
  fs.truncateSync(place.at(`${key}/generations/0000000001.json`), 2 ** 40);
  assert.equal((await store.readGeneration(key, 1))?.length, 4 * 1024 * 1024 + 1);
});

/** What a writer of the share can put where a file belongs: opening some of it would wait for ever, or never end. */
const noFiles: Readonly<Record<string, (file: string) => void>> = {
  "a FIFO": (file) => void execFileSync("mkfifo", [file]),
  "a symlink to a FIFO": (file) => {
    execFileSync("mkfifo", [`${file}.fifo`]);
    fs.symlinkSync(`${file}.fifo`, file);
  },
  "a device without an end": (file) => fs.symlinkSync("/dev/zero", file),
};

for (const [what, plant] of Object.entries(noFiles)) {
  test(`${what} in the place of a file waits for nobody, and is none`, async () => {
    using place = new Place();
    const store = await place.openOrCreate();
    await store.putGeneration(key, 1, bytes);
    await store.putMark(key, bytes);
    await using upload = await store.beginLayer(key);
    await upload.write(bytes);
    const name = await upload.publish();
    const [mark] = fs.readdirSync(place.at(`${key}/marks`));
    for (const file of [`generations/0000000001.json`, `layers/${name}`, `marks/${mark}`]) {
      fs.rmSync(place.at(`${key}/${file}`));
      plant(place.at(`${key}/${file}`));
    }
    assert.deepEqual(await store.readGeneration(key, 1), new Uint8Array(0));
    assert.deepEqual((await store.marks(key)).map((each) => each.bytes), [new Uint8Array(0)]);
    await assert.rejects(() => store.openLayer(key, name), cacheError("bad_layer", /is not a regular file$/));
    fs.rmSync(place.at("format.json"));
    plant(place.at("format.json"));
    assert.equal(await place.open(), undefined);
    assert.notEqual((await place.openOrCreate()).id, store.id);
  });
}

/** docs/format.md: files (mode & 0664) | 0600, directories (mode & 0775) | 0700. */
const modes: readonly (readonly [root: number, directory: number, file: number])[] = [
  [0o755, 0o755, 0o644],
  [0o700, 0o700, 0o600],
  [0o750, 0o750, 0o640],
  [0o770, 0o770, 0o660],
  [0o775, 0o775, 0o664],
  [0o777, 0o775, 0o664],
  [0o1777, 0o775, 0o664],
  [0o2775, 0o775, 0o664],
];

async function useEverything(store: Store): Promise<string> {
  await store.putGeneration(key, 1, bytes);
  await using upload = await store.beginLayer(key);
  await upload.write(bytes);
  const layer = await upload.publish();
  await store.noteUse(key);
  return layer;
}

test("modes follow the store's root, whatever the umask, and are never writable by all", async () => {
  for (const [root, directory, file] of modes) {
    for (const { wrap } of ways) {
      for (const umask of wrap === asIs ? [0o000, 0o077] : [0o077]) {
        using place = new Place(root);
        const before = process.umask(umask);
        try {
          await useEverything(await place.openOrCreate((fs) => wrap(withoutFsync(fs))));
        } finally {
          process.umask(before);
        }
        for (const name of ["", ...place.tree()]) {
          const stat = fs.lstatSync(place.at(name));
          const wanted = stat.isDirectory() ? directory : file;
          assert.equal(
            (stat.mode & 0o7777).toString(8),
            wanted.toString(8),
            `${name} below ${root.toString(8)}`,
          );
        }
      }
    }
  }
});

test(
  "everything gets the group of the store's root",
  { skip: process.getuid?.() === 0 ? false : "only root can give a directory to any group" },
  async () => {
    using place = new Place();
    fs.chownSync(place.dir, -1, 12_345);
    await useEverything(await place.openOrCreate());
    for (const name of ["", ...place.tree()]) {
      assert.equal(fs.lstatSync(place.at(name)).gid, 12_345, name);
    }
  },
);

test("a group that cannot be given away is no failure; a failing share is one", async () => {
  for (const errno of ["EPERM", "EINVAL", "ENOTSUP", "EOPNOTSUPP"]) {
    using place = new Place();
    await useEverything(await place.openOrCreate(failing(["chown"], errno)));
  }
  using place = new Place();
  await assert.rejects(
    () => place.openOrCreate(failing(["chown"], "EIO")),
    cacheError("store_io", /EIO/),
  );
});

test("a file system without fsync of directories is as good; a failed fsync is a failure", async () => {
  for (const errno of ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "EISDIR"]) {
    using place = new Place();
    await useEverything(await place.openOrCreate(failing(["syncDirectory"], errno)));
  }
  for (const call of ["sync", "syncDirectory"]) {
    using place = new Place();
    await place.openOrCreate();
    const store = await place.opened(failing([call], "EIO"));
    await assert.rejects(() => store.putGeneration(key, 1, bytes), cacheError("store_io"));
    await using upload = await store.beginLayer(key);
    await assert.rejects(() => upload.publish(), cacheError("store_io"));
  }
});

test("reading writes nothing, in a store of either way", async () => {
  for (const { wrap } of ways) {
    using place = new Place();
    const layer = await useEverything(await place.openOrCreate(wrap));
    const reading: Wrap = ({ open, stat, list, freeBytes }) =>
      only<FileSystem>("fs", {
        stat,
        list,
        freeBytes,
        open: (file, mode) => mode === "r" ? open(file, mode) : Promise.reject(failure("EROFS")),
      });
    const store = await place.opened(reading);
    assert.deepEqual(await store.keys(), [key]);
    assert.deepEqual(await store.generationNumbers(key), [1]);
    assert.deepEqual(Uint8Array.from(await store.readGeneration(key, 1) ?? []), bytes);
    await using file = await store.openLayer(key, layer);
    assert.deepEqual(Uint8Array.from(await file?.read(0, bytes.length) ?? []), bytes);
    assert.notEqual(await store.lastUseMs(key), undefined);
    await store.freeBytes();
  }
});

test("noting a use never fails: a share that cannot be written to is as good", async () => {
  for (const call of ["open", "stat", "touch", "chmod", "chown", "close"]) {
    using place = new Place();
    await using faults = new Faults();
    const store = await place.openOrCreate(faults.over);
    await store.putGeneration(key, 1, bytes);
    faults.fail("EROFS", [call]);
    await store.noteUse(key);
    faults.heal();
    await store.noteUse(key);
    place.clock.setWallClock((await store.lastUseMs(key) ?? 0) + useNoteIntervalMs);
    faults.fail("EROFS", [call]);
    await store.noteUse(key);
  }
});

test("a use of a key that nothing was put below is noted nowhere", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  await store.noteUse(key);
  assert.equal(await store.lastUseMs(key), undefined);
  assert.deepEqual(await store.keys(), []);
});

/** What a reader or a writer of a store does, and a call of the file system that it cannot do without. */
const steps: readonly (readonly [call: string, step: (store: Store, layer: string) => Promise<unknown>])[] = [
  ["list", (store) => store.keys()],
  ["list", (store) => store.generationNumbers(key)],
  ["open", (store) => store.readGeneration(key, 1)],
  ["open", (store) => store.readGeneration(key, 99)],
  ["read", (store) => store.readGeneration(key, 1)],
  ["stat", (store) => store.readGeneration(key, 1)],
  ["open", (store, layer) => store.openLayer(key, layer)],
  ["open", (store) => store.openLayer(key, "absent")],
  ["stat", (store, layer) => store.openLayer(key, layer)],
  ["read", async (store, layer) => {
    await using file = await store.openLayer(key, layer);
    await file?.read(0, 1);
  }],
  ["stat", (store) => store.lastUseMs(key)],
  ["freeBytes", (store) => store.freeBytes()],
  ["mkdir", (store) => store.putGeneration(otherKey, 1, bytes)],
  ["open", (store) => store.putGeneration(key, 2, bytes)],
  ["append", (store) => store.putGeneration(key, 2, bytes)],
  ["close", (store) => store.putGeneration(key, 2, bytes)],
  ["mkdir", (store) => store.beginLayer(otherKey)],
  ["open", (store) => store.beginLayer(key)],
];

test('a failing share is store_io, names the errno and the place, and is never "absent"', async () => {
  for (const { wrap } of ways) {
    using place = new Place();
    const layer = await useEverything(await place.openOrCreate(wrap));
    for (const errno of ["EACCES", "EIO", "ESTALE", "ETIMEDOUT"]) {
      for (const [call, step] of steps) {
        await using faults = new Faults();
        const store = await place.opened((fs) => faults.over(wrap(withoutFsync(fs))));
        faults.fail(errno, [call]);
        await assert.rejects(
          () => step(store, layer),
          cacheError(
            "store_io",
            new RegExp(`^Cannot [a-z ]+ "${place.dir}.*" in the shared store: ${errno}$`),
          ),
          `${call} fails`,
        );
      }
    }
    assert.deepEqual(await (await place.opened()).generationNumbers(key), [1]);
  }
});

test("a share that fails while the store is opened is store_io, and not a store that is not there", async () => {
  for (const { wrap } of ways) {
    using place = new Place();
    await place.openOrCreate(wrap);
    for (const errno of ["EACCES", "EIO", "ESTALE"]) {
      for (const call of ["stat", "open", "read"]) {
        const faulty: Wrap = (fs) => failing([call], errno)(wrap(fs));
        await assert.rejects(() => place.open(faulty), cacheError("store_io", new RegExp(errno)));
        await assert.rejects(() => place.openOrCreate(faulty), cacheError("store_io", new RegExp(errno)));
      }
    }
  }
});

test("a full share is no_space", async () => {
  for (const errno of ["ENOSPC", "EDQUOT"]) {
    using place = new Place();
    await place.openOrCreate();
    const store = await place.opened(failing(["append"], errno));
    await assert.rejects(() => store.putGeneration(key, 1, bytes), cacheError("no_space", new RegExp(errno)));
    await using upload = await store.beginLayer(key);
    await assert.rejects(() => upload.write(bytes), cacheError("no_space", new RegExp(errno)));
  }
});

/** Does `act`, which may fail, but only with a CacheError that tells of the share. */
async function mayFail(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== "store_io") throw error;
  }
}

test("whichever call fails while a store is made, there is none afterwards or a whole one", async () => {
  for (const { wrap } of ways) {
    const fast: Wrap = (fs) => wrap(withoutFsync(fs));
    const failed = await failEachCall("EIO", async (faults, arm) => {
      using place = new Place();
      arm();
      await mayFail(() => place.openOrCreate((fs) => faults.over(fast(fs))));
      assert.equal(faults.openFiles, 0, faults.last);
      const between = await place.open(fast);
      const { id } = await place.openOrCreate(fast);
      if (between) assert.equal(between.id, id);
    });
    assert.ok(failed > 10, `only ${failed} calls were made to fail`);
  }
});

test("whichever call fails while a generation is put, its number is free afterwards or it is whole", async () => {
  for (const { wrap } of ways) {
    const failed = await failEachCall("EIO", async (faults, arm) => {
      using place = new Place();
      const store = await place.openOrCreate((fs) => faults.over(wrap(withoutFsync(fs))));
      arm();
      await mayFail(() => store.putGeneration(key, 1, bytes));
      faults.heal();
      if (faults.last !== "unlink" && faults.last !== "rmdir") assert.deepEqual(unfinished(place), []);
      assert.equal(faults.openFiles, 0, faults.last);
      const found = await store.readGeneration(key, 1);
      assert.deepEqual(await store.generationNumbers(key), found ? [1] : []);
      if (found) assert.deepEqual(Uint8Array.from(found), bytes);
      const other = new TextEncoder().encode("other");
      assert.equal(await store.putGeneration(key, 1, other), found ? "taken" : "put");
      assert.deepEqual(Uint8Array.from(await store.readGeneration(key, 1) ?? []), found ? bytes : other);
    });
    assert.ok(failed > 10, `only ${failed} calls were made to fail`);
  }
});

test("whichever call fails while a layer is uploaded, what is published is whole", async () => {
  const failed = await failEachCall("EIO", async (faults, arm) => {
    using place = new Place();
    const store = await place.openOrCreate(faults.over);
    arm();
    await mayFail(async () => {
      await using upload = await store.beginLayer(key);
      await upload.write(bytes);
      await upload.publish();
    });
    assert.equal(faults.openFiles, 0, faults.last);
    if (faults.last !== "unlink") {
      assert.deepEqual(unfinished(place), [], faults.last);
    }
    for (const name of place.tree(`${key}/layers`)) {
      const content = fs.readFileSync(place.at(name));
      const sha256 = createHash("sha256").update(content).digest("hex");
      assert.ok(path.basename(name).startsWith(`${sha256}-`), name);
      assert.deepEqual(Uint8Array.from(content), bytes);
    }
  });
  assert.ok(failed > 10, `only ${failed} calls were made to fail`);
});

test("b10-transfer's own files beside native/ stay as they are", async () => {
  using place = new Place();
  const theirs = {
    "torch_compile_abc.tar.gz": "archive",
    "sub/format.json": "{}",
    "sub/native/format.json": "torn",
    "nativelike": "",
  };
  for (const [name, content] of Object.entries(theirs)) {
    fs.mkdirSync(path.dirname(path.join(place.dir, name)), { recursive: true });
    fs.writeFileSync(path.join(place.dir, name), content);
    fs.chmodSync(path.join(place.dir, name), 0o640);
    fs.utimesSync(path.join(place.dir, name), 1_700_000_000, 1_700_000_000);
  }
  place.write("format.json", "torn");
  await useEverything(await place.openOrCreate());
  assert.deepEqual(fs.readdirSync(place.dir).sort(), [
    "native",
    "nativelike",
    "sub",
    "torch_compile_abc.tar.gz",
  ]);
  for (const [name, content] of Object.entries(theirs)) {
    assert.equal(fs.readFileSync(path.join(place.dir, name), "utf8"), content);
    const stat = fs.statSync(path.join(place.dir, name));
    assert.deepEqual([stat.mode & 0o7777, stat.mtimeMs], [0o640, 1_700_000_000_000], name);
  }
});

test("sweep() removes old unfinished uploads of either way, and nothing that is young or published", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  await useEverything(store);
  const incoming = place.at(`${key}/incoming`);
  const old = {
    dir: `${"a".repeat(32)}.json`,
    file: `${"b".repeat(32)}.tar.zst`,
    away: `${"c".repeat(32)}.swept`,
  };
  const young = `${"d".repeat(32)}.tar.zst`;
  fs.mkdirSync(path.join(incoming, old.dir));
  fs.writeFileSync(path.join(incoming, old.dir, "content"), "half");
  for (const name of [old.file, old.away, young, "notes.txt"]) {
    fs.writeFileSync(path.join(incoming, name), "half");
  }
  const past = place.clock.nowMs() / 1000 - 1_000;
  for (const name of [...Object.values(old), "notes.txt"]) {
    fs.utimesSync(path.join(incoming, name), past, past);
  }
  const published = place.tree(`${key}/layers`);
  await store.sweep(key, 900_000);
  assert.deepEqual(fs.readdirSync(incoming).sort(), [young, "notes.txt"].sort());
  assert.deepEqual(place.tree(`${key}/layers`), published);
});

test("sweep() never fails, and makes no directory for a key that has none", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  const before = place.tree();
  await store.sweep(key, 1);
  assert.deepEqual(place.tree(), before);
  await useEverything(store);
  const failing = await place.opened((files) => ({
    ...files,
    open: (file, mode) => mode === "wx" ? Promise.reject(new Error("EROFS")) : files.open(file, mode),
  }));
  await failing.sweep(key, 1);
});
