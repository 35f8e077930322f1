/** The main job on the real cache: pod 1 saves, pod 2 loads, and nothing is done twice. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { differences, takeSnapshot } from "../../scripts/snapshot.ts";
import { fixtureBytes, fixtureFiles, unpackFixture } from "../fixture.ts";
import { mainProgram, ownRuntime, selectTargets, type Target } from "../targets.ts";
import { Fleet, operate, run, stamps, storeFiles, testTimeoutMs, writeTree } from "./fleet.ts";

/** Deno reads and writes modification times in milliseconds. */
function resolutionOf(target: Target): bigint {
  return target.name === "deno" ? 1_000_000n : 1n;
}

/**
 * Every file's modification time as the system's own tools tell it, which these tests cannot themselves on Deno: lines of
 * a name and seconds with all digits that the target keeps.
 */
function exactTimes(dir: string, target: Target): string[] {
  const print = process.platform === "darwin"
    ? ["-exec", "stat", "-f", "%N %Fm", "{}", "+"]
    : ["-printf", "%p %T@\n"];
  const lines = execFileSync("find", [".", "-type", "f", ...print], { cwd: dir, encoding: "utf8" }).trim()
    .split("\n");
  const digits = target.name === "deno" ? 3 : 9;
  return lines.map((line) => line.slice(0, line.lastIndexOf(".") + 1 + digits)).sort();
}

/** Modification times that are exact in no floating-point number, and modes of all kinds. */
async function fillWithOddTimes(dir: string): Promise<void> {
  await unpackFixture(dir);
  const files = fs.readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => fs.statSync(path.join(dir, name)).isFile());
  const lines = files.map((name, index) => {
    fs.chmodSync(path.join(dir, name), [0o644, 0o600, 0o755, 0o444, 0o640][index % 5] ?? 0o644);
    const nanoseconds = String(123_456_789 + index * 1_000_003).padStart(9, "0").slice(-9);
    return `touch -d 2023-11-14T22:13:20.${nanoseconds}Z ./${name}`;
  });
  execFileSync("/bin/sh", ["-e"], { cwd: dir, input: lines.join("\n") });
}

const hasZstd = ["tar", "zstd"].every((tool) =>
  ["/usr/bin", "/bin", "/opt/homebrew/bin"].some((dir) => fs.existsSync(path.join(dir, tool)))
);

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`the main job, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test(
      "the real cache comes back identical, and a second load and save write nothing",
      options,
      async () => {
        using fleet = new Fleet();
        const [one, two] = [fleet.pod("one"), fleet.pod("two")];
        await fillWithOddTimes(one.torchDir);

        const saved = await operate(target, one, ["save"]);
        assert.equal(saved.status, "SUCCESS", saved.message);
        const loaded = await operate(target, two, ["load"]);
        assert.equal(loaded.status, "SUCCESS", loaded.message);
        for (const report of [saved, loaded]) {
          assert.deepEqual([report["files"], report["bytes"]], [fixtureFiles, fixtureBytes]);
        }
        const snapshot = (dir: string) => takeSnapshot(dir, resolutionOf(target));
        assert.equal(snapshot(two.torchDir).size, fixtureFiles);
        assert.deepEqual(differences(snapshot(one.torchDir), snapshot(two.torchDir)), []);
        const times = exactTimes(one.torchDir, target);
        assert.equal(
          new Set(times.map((line) => line.split(" ")[1])).size,
          fixtureFiles,
          "each its own time",
        );
        assert.deepEqual(exactTimes(two.torchDir, target), times);

        const before = stamps(fleet.base);
        const again = [await operate(target, two, ["load"]), await operate(target, one, ["save"])];
        assert.deepEqual(again.map(({ status }) => status), ["SKIPPED", "SKIPPED"]);
        assert.deepEqual(again.map(({ files, bytes }) => [files, bytes]), [[0, 0], [0, 0]]);
        assert.deepEqual(stamps(fleet.base), before);
      },
    );

    test("another namespace has no cache, which --fail-on-miss makes exit status 4", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two", { B10_CACHE_NAMESPACE: "another-model" })];
      writeTree(one.torchDir);
      assert.equal((await operate(target, one, ["save"])).status, "SUCCESS");
      assert.equal((await operate(target, two, ["load"])).status, "DOES_NOT_EXIST");
      assert.ok(!fs.existsSync(two.torchDir), "the directory is as it was: not there");
      assert.equal((await run(target, two, ["load", "--fail-on-miss"])).code, 4);
      assert.equal((await run(target, one, ["load", "--fail-on-miss"])).code, 0);
      // The flag wins over the variable.
      assert.equal((await operate(target, two, ["load", "--namespace", "default"])).status, "SUCCESS");
    });

    test("a populated directory gets what is missing, and keeps what it has", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two")];
      writeTree(one.torchDir, "shared");
      await operate(target, one, ["save"]);
      writeTree(two.torchDir, "own");
      const kept = path.join(two.torchDir, "aa", "shared.py");
      fs.writeFileSync(kept, "compiled here");
      const before = fs.statSync(kept, { bigint: true });

      const loaded = await operate(target, two, ["load"]);
      assert.deepEqual([loaded.status, loaded["files"]], ["SUCCESS", 4]);
      assert.equal(fs.readFileSync(kept, "utf8"), "compiled here");
      assert.equal(fs.statSync(kept, { bigint: true }).ino, before.ino);
      assert.equal(takeSnapshot(two.torchDir).size, 10);
      assert.deepEqual(fs.readdirSync(two.torchDir).sort(), ["aa", "fxgraph", "triton"]);
    });

    test("a save adds what the store lacks, and nothing else", options, async () => {
      using fleet = new Fleet();
      const [one, two, three] = [fleet.pod("one"), fleet.pod("two"), fleet.pod("three")];
      writeTree(one.torchDir, "first");
      await operate(target, one, ["save"]);
      const [layer = ""] = storeFiles(fleet, ".tar.zst");
      const before = fs.statSync(layer, { bigint: true });
      await operate(target, two, ["load"]);
      writeTree(two.torchDir, "second");
      const saved = await operate(target, two, ["save"]);
      assert.deepEqual([saved.status, saved["files"], saved["generation"]], ["SUCCESS", 5, 2]);
      assert.deepEqual(fs.statSync(layer, { bigint: true }), before);
      assert.equal(storeFiles(fleet, ".tar.zst").length, 2);
      assert.equal((await operate(target, three, ["load"]))["files"], 10);
      const snapshot = (dir: string) => takeSnapshot(dir, resolutionOf(target));
      assert.deepEqual(differences(snapshot(two.torchDir), snapshot(three.torchDir)), []);
    });

    test(
      "the system's tar and zstd open a layer",
      { ...options, skip: target.skip || (hasZstd ? false : "tar or zstd is not installed") },
      async () => {
        using fleet = new Fleet();
        const one = fleet.pod("one");
        writeTree(one.torchDir);
        await operate(target, one, ["save"]);
        const opened = path.join(fleet.base, "opened");
        fs.mkdirSync(opened);
        execFileSync("tar", ["--zstd", "-xf", storeFiles(fleet, ".tar.zst")[0] ?? "", "-C", opened]);
        // A tar header has whole seconds.
        const snapshot = (dir: string) => takeSnapshot(dir, 1_000_000_000n);
        assert.deepEqual(differences(snapshot(one.torchDir), snapshot(path.join(opened, "inductor"))), []);
      },
    );

    test("eight pods load at once", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const pods = Array.from({ length: 8 }, (_, number) => fleet.pod(`pod-${number}`));
      const loads = await Promise.all(pods.map((pod) => operate(target, pod, ["load"])));
      assert.deepEqual(loads.map(({ status }) => status), Array(8).fill("SUCCESS"));
      const snapshot = (dir: string) => takeSnapshot(dir, resolutionOf(target));
      for (const pod of pods) {
        assert.deepEqual(differences(snapshot(one.torchDir), snapshot(pod.torchDir)), []);
      }
    });

    test("what vLLM keeps is a cache of its own", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two")];
      writeTree(one.vllmDir);
      assert.equal((await operate(target, one, ["save", "--vllm"])).status, "SUCCESS");
      assert.equal((await operate(target, two, ["load"])).status, "DOES_NOT_EXIST");
      assert.equal((await operate(target, two, ["load", "--vllm"])).status, "SUCCESS");
      assert.equal(takeSnapshot(two.vllmDir).size, 5);
    });

    test("a read-only pod loads and never saves", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two", { B10_CACHE_READ_ONLY: "1" })];
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      assert.equal((await operate(target, two, ["load"])).status, "SUCCESS");
      writeTree(two.torchDir, "new");
      const before = stamps(fleet.share);
      const saved = await operate(target, two, ["save"]);
      assert.equal(saved.status, "SKIPPED");
      assert.match(saved.message, /B10_CACHE_READ_ONLY/);
      const flagged = await operate(target, one, ["save", "--read-only"]);
      assert.equal(flagged.status, "SKIPPED");
      assert.deepEqual(stamps(fleet.share), before);
    });

    test("with nothing to save nothing is written", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      const saved = await operate(target, one, ["save"]);
      assert.equal(saved.status, "SKIPPED");
      assert.deepEqual(storeFiles(fleet, ""), []);
    });

    test("a pinned key is the key", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one", { B10_CACHE_KEY: "llama-3-h100" }), fleet.pod("two")];
      writeTree(one.torchDir);
      assert.equal((await operate(target, one, ["save"]))["key"], "llama-3-h100");
      assert.equal((await operate(target, two, ["load"])).status, "DOES_NOT_EXIST");
      assert.equal((await operate(target, two, ["load", "--key", "llama-3-h100"])).status, "SUCCESS");
    });
  });
}
