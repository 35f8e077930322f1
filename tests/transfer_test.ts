/** Export and import: a cache that goes through a file is the cache that it was. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { exportCache, type ExportTarget } from "../lib/export.ts";
import { importArchive, importBundle, type ImportOperation } from "../lib/import.ts";
import { parseKey } from "../lib/key.ts";
import { load } from "../lib/load.ts";
import type { Manifest } from "../lib/manifest.ts";
import type { Store } from "../lib/store.ts";
import {
  atEveryCall,
  failWith,
  inDirectoryAtOnce,
  intercept,
  key,
  oldMtimeNs,
  type Pod,
  readFiles,
  rootName,
  runtime,
  storeInMemory,
  writeFile,
} from "./pods.ts";
import { type Bench, headOf, saveLayers, withBench as withMemoryBench } from "./workbench.ts";

const onDisk = {
  ...inDirectoryAtOnce,
  make: (world: Bench["world"]) => Promise.resolve(storeInMemory(world)),
};

function withBench(act: (bench: Bench) => Promise<void>): Promise<void> {
  return withMemoryBench(act, onDisk);
}

const layers = [
  { "aa/x": "file x", "aa/b/y": "file y", empty: "" },
  { "aa/z": "file z", "aa/twin": "file x", [`${"d".repeat(120)}/${"f".repeat(120)}`]: "a long name" },
];
const all = Object.assign({}, ...layers);

function exportFrom(bench: Bench, target: Pick<ExportTarget, "path"> & Partial<ExportTarget>) {
  const { system, signal, notice, progress } = bench.pod("exporter");
  return exportCache({ system, signal, notice, progress, key }, bench.store, {
    format: "native",
    root: rootName,
    replace: false,
    ...target,
  });
}

function importer(pod: Pod, store: Store, base: string): ImportOperation {
  const workDir = path.join(base, "work");
  fs.mkdirSync(workDir, { recursive: true });
  return { ...pod, openStore: () => Promise.resolve(store), workDir };
}

function bundleOf(file: string) {
  return { path: file, name: path.basename(file) };
}

for (const format of ["native", "b10-transfer"] as const) {
  test(`what is exported in ${format} format is imported into another store as it was`, () =>
    withBench(async (bench) => {
      await saveLayers(bench, layers);
      const file = path.join(bench.base, "cache");
      const exported = await exportFrom(bench, { path: file, format });
      assert.ok(exported.status === "SUCCESS");
      assert.deepEqual(exported.totals, {
        files: 6,
        bytes: Object.values<string>(all).join("").length,
        storedBytes: fs.statSync(file).size,
      });
      const other = storeInMemory(bench.world).store;
      const operation = importer(bench.pod("importer"), other, bench.base);
      const root = { name: rootName, dir: "/tmp/here" };
      const outcome = format === "native"
        ? (await importBundle(operation, bundleOf(file), (manifest) => parseKey(manifest.key, "key"))).outcome
        : await importArchive(operation, bundleOf(file), { key, root });
      assert.ok(outcome.status === "SUCCESS");
      assert.equal(outcome.totals.files, 6);
      const target = bench.pod("target");
      await load(target, other);
      assert.deepEqual(readFiles(target.dir), all);
      assert.deepEqual(fs.readdirSync(path.join(bench.base, "work")), []);
    }));
}

test("a native export keeps key, environment, roots, modes and exact times", () =>
  withBench(async (bench) => {
    const saver = bench.pod("saver");
    const mtimeNs = oldMtimeNs + 123_456_789n / runtime.mtimeResolutionNs * runtime.mtimeResolutionNs;
    writeFile(path.join(saver.dir, "run.sh"), "#!", { mode: 0o750, mtimeNs });
    await saveLayers({ ...bench, pod: () => saver }, [{}]);
    const file = path.join(bench.base, "cache");
    await exportFrom(bench, { path: file });
    const other = storeInMemory(bench.world).store;
    // Another kind of pod: what is imported stays what it was.
    const pod = { ...bench.pod("importer"), environment: { ...saver.environment, devices: ["NVIDIA L4"] } };
    const { key: imported } = await importBundle(
      importer(pod, other, bench.base),
      bundleOf(file),
      (manifest) => parseKey(manifest.key, "key"),
    );
    assert.equal(imported, key);
    const { manifest } = await headOf(other);
    assert.deepEqual(manifest.environment, { ...saver.environment });
    assert.deepEqual(manifest.roots, { [rootName]: { path: saver.dir } });
    assert.equal(manifest.store_id, other.id);
    const target = bench.pod("target");
    await load(target, other);
    const stat = fs.statSync(path.join(target.dir, "run.sh"), { bigint: true });
    assert.equal(stat.mode & 0o7777n, 0o750n);
    assert.equal(stat.mtimeNs / runtime.mtimeResolutionNs, mtimeNs / runtime.mtimeResolutionNs);
  }));

test("an import adds what the store lacks, under the key that is asked for; a second one is SKIPPED", () =>
  withBench(async (bench) => {
    await saveLayers(bench, layers);
    const file = path.join(bench.base, "cache");
    await exportFrom(bench, { path: file });
    const other = storeInMemory(bench.world).store;
    await saveLayers({ ...bench, store: other }, [{ "aa/x": "its own", "its/own": "too" }]);
    const operation = importer(bench.pod("importer"), other, bench.base);
    const seen: Manifest[] = [];
    const keyOf = (manifest: Manifest) => (seen.push(manifest), key);
    const first = await importBundle(operation, bundleOf(file), keyOf);
    assert.ok(first.outcome.status === "SUCCESS");
    assert.equal(first.outcome.totals.files, 5);
    assert.equal(seen[0]?.key, key);
    const second = await importBundle(operation, bundleOf(file), keyOf);
    assert.equal(second.outcome.status, "SKIPPED");
    const target = bench.pod("target");
    await load(target, other);
    assert.deepEqual(readFiles(target.dir), { ...all, "aa/x": "its own", "its/own": "too" });
  }));

test("the system's own tar opens what is exported, in either format", () =>
  withBench(async (bench) => {
    await saveLayers(bench, layers);
    for (const [format, flags] of [["native", ["--zstd"]], ["b10-transfer", ["-z"]]] as const) {
      const file = path.join(bench.base, format);
      await exportFrom(bench, { path: file, format });
      const dir = path.join(bench.base, `opened-${format}`);
      fs.mkdirSync(dir);
      // GNU tar takes what it has when the tar has ended, and zstd's complaint about that for its own failure.
      execFileSync("tar", [...flags, "-xf", file, "-C", dir]);
      assert.deepEqual(readFiles(format === "native" ? path.join(dir, rootName) : dir), all);
    }
  }));

test("an archive for b10-transfer has names that begin with ./, gzip's default level, and one root", () =>
  withBench(async (bench) => {
    await saveLayers(bench, layers);
    const file = path.join(bench.base, "cache");
    await exportFrom(bench, { path: file, format: "b10-transfer" });
    const names = execFileSync("tar", ["-tzf", file], { encoding: "utf8" }).trim().split("\n");
    assert.deepEqual(names.sort(), Object.keys(all).map((name) => `./${name}`).sort());
    const other = await exportFrom(bench, { path: `${file}2`, format: "b10-transfer", root: "vllm" });
    assert.deepEqual(other, {
      status: "DOES_NOT_EXIST",
      reason: `the cache of the key ${key} has no files of vllm`,
    });
    assert.ok(!fs.existsSync(`${file}2`));
  }));

test("there is nothing to export of a key without a cache", () =>
  withBench(async (bench) => {
    const file = path.join(bench.base, "cache");
    const nothing = { status: "DOES_NOT_EXIST", reason: `the store has no cache of the key ${key}` };
    assert.deepEqual(await exportFrom(bench, { path: file }), nothing);
    const { system, signal, notice, progress } = bench.pod("exporter");
    const target = { path: file, format: "native", root: rootName, replace: false } as const;
    assert.deepEqual(
      await exportCache({ system, signal, notice, progress, key }, undefined, target),
      nothing,
    );
    assert.ok(!fs.existsSync(file));
  }));

test("every byte of a bundle that is flipped, and every early end, is refused; the store stays empty", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [{ "aa/x": "file x" }]);
    const file = path.join(bench.base, "cache");
    await exportFrom(bench, { path: file });
    const whole = fs.readFileSync(file);
    const other = storeInMemory(bench.world).store;
    const operation = importer(bench.pod("importer"), other, bench.base);
    const expectRefusal = async (bytes: Uint8Array, what: string) => {
      fs.writeFileSync(file, bytes);
      await assert.rejects(
        importBundle(operation, bundleOf(file), () => key),
        (error) => {
          assert.match(String(Reflect.get(Object(error), "code")), /^bad_(archive|layer|index)$/, what);
          return true;
        },
        what,
      );
    };
    for (let at = 0; at < whole.length; at++) {
      const flipped = Uint8Array.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 0x20;
      await expectRefusal(flipped, `byte ${at} of ${whole.length} flipped`);
      await expectRefusal(whole.subarray(0, at), `cut to ${at} of ${whole.length} bytes`);
    }
    assert.deepEqual(await other.keys(), []);
    assert.deepEqual(fs.readdirSync(path.join(bench.base, "work")), []);
  }));

test("a bundle of a newer format is store_unsupported, not damage", () =>
  withBench(async (bench) => {
    await saveLayers(bench, [{ x: "x" }]);
    const file = path.join(bench.base, "cache");
    await exportFrom(bench, { path: file });
    const text = fs.readFileSync(file, "latin1");
    const line = text.slice(text.indexOf('{"cold_start"')).split("\n")[0] ?? "";
    const digest = (bytes: string) => createHash("sha256").update(bytes, "latin1").digest("hex");
    const newer = line.replace('"format":1', '"format":2');
    fs.writeFileSync(file, text.replace(line, newer).replace(digest(line), digest(newer)), "latin1");
    const operation = importer(bench.pod("importer"), storeInMemory(bench.world).store, bench.base);
    await assert.rejects(importBundle(operation, bundleOf(file), () => key), { code: "store_unsupported" });
  }));

test("a failure at any call of an export leaves no file, or the whole one", () =>
  withBench(async (bench) => {
    await saveLayers(bench, layers);
    const file = path.join(bench.base, "cache");
    for (const format of ["native", "b10-transfer"] as const) {
      await atEveryCall(async (point) => {
        const { system, signal, notice, progress } = bench.pod("exporter", {}, {
          fs: intercept(inDirectoryAtOnce.files, point.once(failWith("EIO"))),
        });
        const target = { path: file, format, root: rootName, replace: false };
        let isDone = true;
        try {
          await exportCache({ system, signal, notice, progress, key }, bench.store, target);
        } catch (error) {
          isDone = false;
          assert.equal(Reflect.get(Object(error), "code"), "local_io");
        }
        assert.equal(fs.existsSync(file), isDone);
        fs.rmSync(file, { force: true });
      });
    }
  }));
