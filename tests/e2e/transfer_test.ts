/** Caches that come from files: b10-transfer's archives in the store, export and import. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { entry, tarGz } from "../foreign/tar_writer.ts";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, operate, reportOf, run, stamps, testTimeoutMs, withTorch, writeTree } from "./fleet.ts";

/** b10-transfer's key of every CPU pod of this machine's kind. */
const machines: Readonly<Record<string, string>> = { "linux x64": "436c59e667a63097" };
const cpuKey = machines[`${process.platform} ${process.arch}`];

function contents(dir: string): Record<string, string> {
  const names = fs.readdirSync(dir, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    names.filter((name) => fs.statSync(path.join(dir, name)).isFile())
      .map((name) => [name, fs.readFileSync(path.join(dir, name), "base64")]),
  );
}

/** What b10-transfer does to save: its archive, by the system's own tar. */
function saveAsPeer(fleet: Fleet, dir: string, key: string): string {
  fs.mkdirSync(fleet.storeDir, { recursive: true });
  const name = `cache_${key}.latest.tar.gz`;
  execFileSync("tar", ["-czf", path.join(fleet.storeDir, name), "-C", dir, "."]);
  return name;
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`caches from files, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };
    const foreignOptions = {
      ...options,
      skip: target.skip ||
        (cpuKey === undefined && "b10-transfer's key of this kind of machine is not known"),
    };
    const key = cpuKey ?? "";

    test("a load restores what b10-transfer saved, where it may", foreignOptions, async () => {
      using fleet = new Fleet();
      const pod = withTorch(fleet.pod("one", { B10_CACHE_FOREIGN: "on" }));
      const source = path.join(fleet.base, "source");
      writeTree(source);
      const name = saveAsPeer(fleet, source, key);
      for (const lock of ["copy_in.lock", "copy_out.lock", `cache_${key}.incomplete.tar.gz`]) {
        fs.writeFileSync(path.join(fleet.storeDir, lock), "");
      }
      const before = stamps(fleet.storeDir);
      const loaded = await operate(target, pod, ["load"]);
      assert.equal(loaded.status, "SUCCESS", loaded.message);
      assert.equal(loaded["origin"], "b10-transfer");
      assert.equal(loaded["files"], 5);
      assert.deepEqual(contents(pod.torchDir), contents(source));
      assert.equal((await operate(target, pod, ["load"])).status, "SKIPPED");
      assert.deepEqual(
        stamps(fleet.storeDir),
        before,
        "nothing of b10-transfer's is touched, and nothing added",
      );
      // From then on the cache is ours as well.
      assert.equal((await operate(target, pod, ["save"])).status, "SUCCESS");
      const next = withTorch(fleet.pod("two", { B10_CACHE_FOREIGN: "on" }));
      const native = await operate(target, next, ["load"]);
      assert.deepEqual([native.status, native["generation"], native["origin"]], ["SUCCESS", 1, undefined]);
      assert.ok(fs.existsSync(path.join(fleet.storeDir, name)));
    });

    test("a CPU pod leaves the archive alone by itself, and says so", foreignOptions, async () => {
      using fleet = new Fleet();
      const pod = withTorch(fleet.pod("one"));
      writeTree(path.join(fleet.base, "source"));
      const name = saveAsPeer(fleet, path.join(fleet.base, "source"), key);
      const loaded = await operate(target, pod, ["load"]);
      assert.equal(loaded.status, "DOES_NOT_EXIST");
      assert.ok(loaded.message.includes(`${name} is left alone`), loaded.message);
      assert.ok(!fs.existsSync(pod.torchDir), "the directory is as it was: not there");
    });

    test("list and status show both kinds", foreignOptions, async () => {
      using fleet = new Fleet();
      const pod = withTorch(fleet.pod("one", { B10_CACHE_FOREIGN: "on" }));
      writeTree(pod.torchDir);
      await operate(target, pod, ["save"]);
      const name = saveAsPeer(fleet, pod.torchDir, key);
      const listed = await operate(target, pod, ["list"]);
      const caches = listed["caches"] as unknown as readonly Readonly<Record<string, unknown>>[];
      assert.deepEqual(caches.map((cache) => [cache["kind"], cache["file"], cache["files"]]), [
        ["native", undefined, 5],
        ["b10-transfer", name, 0],
      ]);
      assert.equal(caches[1]?.["key"], key);
      assert.equal(caches[1]?.["stored_bytes"], fs.statSync(path.join(fleet.storeDir, name)).size);
      const text = (await run(target, pod, ["list"])).stdout;
      assert.match(text, new RegExp(`^${name}\\n  b10-transfer's archive, [0-9.]+ kB$`, "m"));
      const status = await operate(target, pod, ["status"]);
      assert.deepEqual(status["b10_transfer"], {
        key,
        archive: name,
        stored_bytes: fs.statSync(path.join(fleet.storeDir, name)).size,
        off: null,
      });
    });

    test(
      "a damaged, a hostile and an impossible archive are errors, and a save goes on as ever",
      foreignOptions,
      async () => {
        using fleet = new Fleet();
        const pod = withTorch(fleet.pod("one", { B10_CACHE_FOREIGN: "on" }));
        writeTree(pod.torchDir, "local");
        const file = path.join(fleet.storeDir, saveAsPeer(fleet, pod.torchDir, key));
        const canary = path.join(fleet.base, "canary");
        fs.writeFileSync(canary, "alive");
        const before = contents(pod.torchDir);
        const whole = fs.readFileSync(file);
        const bad: Readonly<Record<string, () => void>> = {
          "cut in half": () => fs.writeFileSync(file, whole.subarray(0, whole.length / 2)),
          empty: () => fs.writeFileSync(file, ""),
          "a way out": () => fs.writeFileSync(file, tarGz(entry({ name: "./../canary", content: "dead" }))),
          "a symlink": () =>
            fs.writeFileSync(file, tarGz(entry({ name: "./l", type: "2", linkName: fleet.base }))),
          "a FIFO": () => {
            fs.rmSync(file);
            execFileSync("mkfifo", [file]);
          },
        };
        for (const [what, make] of Object.entries(bad)) {
          make();
          const loaded = await operate(target, pod, ["load"]);
          assert.deepEqual(
            [loaded.status, loaded.code],
            ["ERROR", "bad_archive"],
            `${what}: ${loaded.message}`,
          );
          assert.ok(loaded.message.includes(path.basename(file)), what);
        }
        assert.deepEqual(contents(pod.torchDir), before);
        assert.equal(fs.readFileSync(canary, "utf8"), "alive");
        assert.equal((await operate(target, pod, ["save"])).status, "SUCCESS");
        const next = withTorch(fleet.pod("two", { B10_CACHE_FOREIGN: "on" }));
        assert.equal((await operate(target, next, ["load"])).status, "SUCCESS");
      },
    );

    test("a cache goes through a file into another store", options, async () => {
      using fleet = new Fleet();
      using other = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const file = path.join(fleet.base, "cache.tar.zst");
      const exported = await operate(target, one, ["export", file]);
      assert.deepEqual([exported.status, exported["files"], exported["format"]], ["SUCCESS", 5, "native"]);
      assert.equal(exported["stored_bytes"], fs.statSync(file).size);
      const two = other.pod("two");
      const env = { B10_CACHE_ALLOWED_PREFIXES: `${other.base}:${fleet.base}` };
      const importing = { ...two, env: { ...two.env, ...env } };
      const imported = await operate(target, importing, ["import", file]);
      assert.deepEqual([imported.status, imported["files"], imported["key"]], [
        "SUCCESS",
        5,
        exported["key"],
      ]);
      assert.equal((await operate(target, importing, ["import", file])).status, "SKIPPED");
      assert.equal((await operate(target, two, ["load"])).status, "SUCCESS");
      assert.deepEqual(contents(two.torchDir), contents(one.torchDir));
    });

    test("an import goes to the key or the namespace that is named", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      await operate(target, one, ["export", path.join(fleet.base, "c.tar.zst")]);
      const pinned = await operate(target, one, [
        "import",
        path.join(fleet.base, "c.tar.zst"),
        "--key",
        "mine",
      ]);
      assert.deepEqual([pinned.status, pinned["key"]], ["SUCCESS", "mine"]);
      const named = await operate(target, one, [
        "import",
        path.join(fleet.base, "c.tar.zst"),
        "--namespace",
        "other",
      ]);
      assert.equal(named.status, "SUCCESS");
      const other = await operate(target, fleet.pod("two", { B10_CACHE_NAMESPACE: "other" }), ["load"]);
      assert.deepEqual([other.status, other["key"]], ["SUCCESS", named["key"]]);
    });

    test(
      "b10-transfer's format goes both ways, and by its own name into the store",
      foreignOptions,
      async () => {
        using fleet = new Fleet();
        const one = withTorch(fleet.pod("one", { B10_CACHE_FOREIGN: "on" }));
        writeTree(one.torchDir);
        await operate(target, one, ["save"]);
        const exported = await operate(target, one, [
          "export",
          "--format",
          "b10-transfer",
          `${fleet.storeDir}/`,
        ]);
        const file = path.join(fleet.storeDir, `cache_${key}.latest.tar.gz`);
        assert.deepEqual([exported.status, exported["file"]], ["SUCCESS", file]);
        fs.rmSync(path.join(fleet.storeDir, "native"), { recursive: true });
        const imported = await operate(target, one, ["import", file]);
        assert.deepEqual([imported.status, imported["files"]], ["SUCCESS", 5]);
        const two = withTorch(fleet.pod("two"));
        const loaded = await operate(target, two, ["load"]);
        assert.deepEqual([loaded.status, loaded["origin"]], ["SUCCESS", undefined]);
        assert.deepEqual(contents(two.torchDir), contents(one.torchDir));
      },
    );

    test(
      "an archive of another kind of pod, or of no known one, is not imported without a key",
      foreignOptions,
      async () => {
        using fleet = new Fleet();
        const pod = withTorch(fleet.pod("one"));
        const source = path.join(fleet.base, "source");
        writeTree(source);
        for (const name of [saveAsPeer(fleet, source, "3b20c534a035fa77"), "renamed.tar.gz"]) {
          const file = path.join(fleet.storeDir, name);
          if (!fs.existsSync(file)) {
            fs.copyFileSync(path.join(fleet.storeDir, "cache_3b20c534a035fa77.latest.tar.gz"), file);
          }
          const refused = await operate(target, pod, ["import", file]);
          assert.deepEqual([refused.status, refused.code], ["ERROR", "bad_archive"], refused.message);
          assert.ok(refused.message.includes("--key"));
          assert.equal(
            (await operate(target, pod, ["import", file, "--key", `key-${name}`])).status,
            "SUCCESS",
          );
        }
        const off = { ...pod, env: { ...pod.env, B10_CACHE_FOREIGN: "off" } };
        const file = path.join(fleet.storeDir, saveAsPeer(fleet, source, key));
        assert.equal((await operate(target, off, ["import", file])).code, "bad_archive");
      },
    );

    test(
      "wrong usage, a file that is there, a file that is not, a place that is not allowed",
      options,
      async () => {
        using fleet = new Fleet();
        const pod = fleet.pod("one");
        writeTree(pod.torchDir);
        const file = path.join(fleet.base, "c.tar.zst");
        assert.equal((await operate(target, pod, ["export", file])).status, "DOES_NOT_EXIST");
        assert.equal((await run(target, pod, ["export", file, "--fail-on-miss"])).code, 4);
        assert.ok(!fs.existsSync(file));
        await operate(target, pod, ["save"]);
        assert.equal((await operate(target, pod, ["export", file])).status, "SUCCESS");
        const taken = await operate(target, pod, ["export", file]);
        assert.equal(taken.code, "local_io");
        assert.match(taken.message, /--force/);
        assert.equal((await operate(target, pod, ["export", file, "--force"])).status, "SUCCESS");
        assert.equal((await operate(target, pod, ["import", `${file}.absent.tar.zst`])).code, "local_io");
        const outside = await run(target, pod, ["export", "/etc/c.tar.zst", "--json"]);
        assert.deepEqual([outside.code, reportOf(outside).code], [1, "path_outside_prefix"]);
        const readOnly = await operate(target, pod, ["import", file, "--read-only"]);
        assert.deepEqual([readOnly.status, readOnly.message], ["SKIPPED", "B10_CACHE_READ_ONLY is on"]);
        for (
          const args of [["export"], ["import"], ["export", "x.zip"], ["import", file, "--format", "zip"]]
        ) {
          assert.equal((await run(target, pod, args)).code, 64, args.join(" "));
        }
        const names = fs.readdirSync(fleet.base);
        assert.ok(!names.some((name) => name.startsWith(".b10-")), names.join());
      },
    );
  });
}
