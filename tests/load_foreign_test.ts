import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import type { Config } from "../lib/config.ts";
import { archiveName } from "../lib/foreign/archive_name.ts";
import { foreignKey } from "../lib/foreign/key.ts";
import { loadAny } from "../lib/load_any.ts";
import { loadForeign } from "../lib/load_foreign.ts";
import type { LoadOutcome } from "../lib/operation.ts";
import { save } from "../lib/save.ts";
import { entry, tarGz } from "./foreign/tar_writer.ts";
import {
  atEveryCall,
  describeTree,
  environment,
  failWith,
  inDirectoryAtOnce,
  intercept,
  makePod,
  newWorld,
  type Pod,
  type PodOptions,
  readFiles,
  realFiles,
  storeInMemory,
  withDirectory,
  writeFile,
  writeFiles,
} from "./pods.ts";

const found = foreignKey(environment, "linux");
const name = "key" in found ? archiveName(found.key) : "";

const files = { "aa/x": "file x", "aa/b/y": "file y", "triton/0/K/__grp__k.json": "{}", "empty": "" };

function archiveOf(contents: Readonly<Record<string, string>> = files): Uint8Array {
  return tarGz(
    entry({ name: "./", type: "5" }),
    ...Object.entries(contents).map(([file, content]) =>
      entry({ name: `./${file}`, content, mtimeS: 1_600_000_000, mode: 0o640 })
    ),
  );
}

interface Bench {
  readonly storeDir: string;
  readonly pod: (name: string, options?: PodOptions) => Pod;
  readonly put: (archive: Uint8Array) => void;
  readonly load: (pod: Pod) => Promise<LoadOutcome>;
}

function withBench(act: (bench: Bench) => Promise<void>): Promise<void> {
  return withDirectory(async (base) => {
    const world = newWorld(inDirectoryAtOnce.files);
    const storeDir = path.join(base, "store");
    fs.mkdirSync(storeDir);
    await act({
      storeDir,
      pod: (pod, options) => makePod(world, path.join(base, pod), options),
      put: (archive) => fs.writeFileSync(path.join(storeDir, name), archive),
      load: (pod) => loadForeign(pod, { storeDir, name }),
    });
  });
}

test("a load from an archive restores everything, with modes and times", () =>
  withBench(async ({ pod, put, load }) => {
    const archive = archiveOf();
    put(archive);
    const target = pod("target");
    assert.deepEqual(await load(target), {
      status: "SUCCESS",
      origin: "b10-transfer",
      archive: name,
      totals: { files: 4, bytes: 14, storedBytes: archive.length },
    });
    assert.deepEqual(readFiles(target.dir), files);
    const stat = fs.statSync(path.join(target.dir, "aa/x"));
    assert.equal(stat.mode & 0o7777, 0o640);
    assert.equal(stat.mtimeMs, 1_600_000_000_000);
    assert.deepEqual(target.notices, []);
  }));

test("a second load is SKIPPED, and one that was interrupted is completed by the next", () =>
  withBench(async ({ pod, put, load }) => {
    put(archiveOf());
    const target = pod("target");
    await load(target);
    const before = describeTree(target.dir);
    const skipped = await load(target);
    assert.deepEqual(skipped, {
      status: "SKIPPED",
      origin: "b10-transfer",
      reason: `everything in b10-transfer's ${name} is already on this pod`,
    });
    assert.deepEqual(describeTree(target.dir), before);
    fs.rmSync(path.join(target.dir, "aa/b/y"));
    const completed = await load(target);
    assert.ok(completed.status === "SUCCESS");
    assert.equal(completed.totals.files, 1);
    assert.deepEqual(readFiles(target.dir), files);
  }));

test("nothing local is overwritten", () =>
  withBench(async ({ pod, put, load }) => {
    put(archiveOf());
    const target = pod("target");
    writeFiles(target.dir, { "aa/x": "mine", "mine": "mine" });
    assert.equal((await load(target)).status, "SUCCESS");
    assert.deepEqual(readFiles(target.dir), { ...files, "aa/x": "mine", mine: "mine" });
  }));

test("no archive, and one without cache content, are DOES_NOT_EXIST", () =>
  withBench(async ({ pod, put, load }) => {
    assert.deepEqual(await load(pod("target")), { status: "DOES_NOT_EXIST", reason: `there is no ${name}` });
    put(archiveOf({ "locks/a.lock": "", "x.tmp": "half" }));
    assert.deepEqual(await load(pod("target")), {
      status: "DOES_NOT_EXIST",
      reason: `b10-transfer's ${name} holds no cache content`,
    });
    assert.deepEqual(readFiles(pod("target").dir), {});
  }));

test("an archive that breaks a rule at its end leaves the target as it was", () =>
  withBench(async ({ storeDir, pod, put, load }) => {
    const target = pod("target");
    writeFile(path.join(storeDir, "..", "canary"), "alive");
    writeFiles(target.dir, { mine: "mine" });
    const before = describeTree(target.dir);
    put(
      tarGz(
        ...Array.from({ length: 50 }, (_, at) => entry({ name: `./f${at}` })),
        entry({ name: "./../canary" }),
      ),
    );
    await assert.rejects(load(target), { code: "bad_archive" });
    assert.deepEqual(describeTree(target.dir), before);
    assert.equal(fs.readFileSync(path.join(storeDir, "..", "canary"), "utf8"), "alive");
  }));

test("a symlink or a directory of an archive's name is refused and never opened", () =>
  withBench(async ({ storeDir, pod, load }) => {
    fs.mkdirSync(path.join(storeDir, name));
    await assert.rejects(load(pod("target")), {
      code: "bad_archive",
      message: `Cannot use the archive "${name}" as it is not a regular file`,
    });
    fs.rmdirSync(path.join(storeDir, name));
    fs.symlinkSync("/etc/passwd", path.join(storeDir, name));
    await assert.rejects(load(pod("target")), { code: "bad_archive" });
  }));

test("an archive that is replaced while it is read is read anew; one that stays wrong is refused", () =>
  withBench(async ({ storeDir, pod, put }) => {
    put(archiveOf().subarray(0, 60));
    let opened = 0;
    const target = pod("target", {
      fs: intercept(inDirectoryAtOnce.files, ({ name: call }) => {
        if (call !== "read" || ++opened > 1) return;
        // As b10-transfer does it: another file takes the name.
        fs.writeFileSync(path.join(storeDir, "new"), archiveOf());
        fs.renameSync(path.join(storeDir, "new"), path.join(storeDir, name));
      }),
    });
    assert.equal((await loadForeign(target, { storeDir, name })).status, "SUCCESS");
    put(archiveOf().subarray(0, 60));
    await assert.rejects(loadForeign(pod("other"), { storeDir, name }), { code: "bad_archive" });
  }));

for (const code of ["ENOSPC", "EIO", "EACCES", "EMFILE"]) {
  test(`${code} at any call: the target has what it had, or that and whole files; the next load completes it`, () =>
    withBench(async ({ storeDir, pod, put, load }) => {
      put(archiveOf());
      const names = await atEveryCall(async (point) => {
        const target = pod("target", {
          fs: intercept(inDirectoryAtOnce.files, point.once(failWith(code))),
        });
        let outcome: string;
        try {
          outcome = (await loadForeign(target, { storeDir, name })).status;
        } catch (error) {
          outcome = String(Reflect.get(Object(error), "code"));
        }
        assert.match(outcome, /^(SUCCESS|local_io|no_space|store_io)$/);
        for (const [file, content] of Object.entries(readFiles(target.dir))) {
          if (!file.startsWith(".b10-")) assert.equal(content, Reflect.get(files, file), file);
        }
        await load(pod("target"));
        const restored = Object.entries(readFiles(target.dir)).filter(([file]) => !file.startsWith(".b10-"));
        assert.deepEqual(Object.fromEntries(restored), files);
        fs.rmSync(target.dir, { recursive: true });
      });
      assert.ok(names.length > 15, names.join());
    }));
}

test("too little space is refused before anything is written", () =>
  withBench(async ({ pod, put, load }) => {
    put(archiveOf());
    const target = pod("target", {
      config: { minLocalSpaceMb: 1 },
      fs: { ...realFiles, freeBytes: () => Promise.resolve(5) },
    });
    await assert.rejects(load(target), { code: "no_space" });
    assert.deepEqual(readFiles(target.dir), {});
  }));

function options(config: Partial<Config>): PodOptions {
  return { config };
}

test("loadAny() takes the store's own cache where there is one, and the archive where there is none", () =>
  withBench(async ({ storeDir, pod, put }) => {
    const world = newWorld(inDirectoryAtOnce.files);
    const { store } = storeInMemory(world);
    put(archiveOf());
    const first = await loadAny(pod("first"), { store: undefined, storeDir });
    assert.ok(first.status === "SUCCESS" && "origin" in first);
    const second = await loadAny(pod("second"), { store, storeDir });
    assert.ok(second.status === "SUCCESS" && "origin" in second);
    const saver = pod("saver");
    writeFiles(saver.dir, { own: "own" });
    await save(saver, () => Promise.resolve(store));
    const third = await loadAny(pod("third"), { store, storeDir });
    assert.ok(third.status === "SUCCESS" && "generation" in third);
    assert.deepEqual(readFiles(pod("third").dir), { own: "own" });
  }));

test("loadAny() leaves an archive alone where B10_CACHE_FOREIGN says so, and says that there is one", () =>
  withBench(async ({ storeDir, pod, put }) => {
    const off = () => loadAny(pod("off", options({ foreign: "off" })), { store: undefined, storeDir });
    const nothing = "nothing has been saved in this store yet";
    assert.deepEqual(await off(), { status: "DOES_NOT_EXIST", reason: nothing });
    put(archiveOf());
    assert.deepEqual(await off(), {
      status: "DOES_NOT_EXIST",
      reason: `${nothing}; b10-transfer's ${name} is left alone, as B10_CACHE_FOREIGN is off`,
    });
    assert.deepEqual(readFiles(pod("off").dir), {});
  }));

test("loadAny() is a plain miss where b10-transfer would have no key", () =>
  withBench(async ({ storeDir, pod, put }) => {
    put(archiveOf());
    const target = { ...pod("target"), environment: { ...environment, torch: null } };
    assert.equal((await loadAny(target, { store: undefined, storeDir })).status, "DOES_NOT_EXIST");
  }));
