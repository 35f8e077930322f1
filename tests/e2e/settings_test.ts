/** What users get wrong: each is said with the variable, the value and the rule, and nothing is touched. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, operate, run, stamps, storeFiles, testTimeoutMs, writeTree } from "./fleet.ts";

/** A setting that breaks its rule: what the message must name. */
const badSettings: readonly {
  readonly variable: string;
  readonly value: string;
  readonly code: string;
  readonly rule: RegExp;
}[] = [
  { variable: "MAX_CACHE_SIZE_MB", value: "lots", code: "bad_setting", rule: /whole number of at least 1/ },
  { variable: "MAX_CACHE_SIZE_MB", value: "-1", code: "bad_setting", rule: /whole number of at least 1/ },
  { variable: "MAX_CACHE_SIZE_MB", value: "1.5", code: "bad_setting", rule: /whole number of at least 1/ },
  { variable: "MAX_CONCURRENT_SAVES", value: "0", code: "bad_setting", rule: /whole number of at least 1/ },
  { variable: "B10_CACHE_NAMESPACE", value: "../up", code: "bad_setting", rule: /must match/ },
  { variable: "B10_CACHE_KEY", value: "a/b", code: "bad_setting", rule: /must match/ },
  { variable: "B10_CACHE_READ_ONLY", value: "perhaps", code: "bad_setting", rule: /must be/ },
  { variable: "B10_TRANSFER_VLLM_URL", value: "file:///etc", code: "bad_setting", rule: /http/ },
  { variable: "B10_TRANSFER_CLI_LOGLEVEL", value: "loud", code: "bad_setting", rule: /must be/ },
  { variable: "B10_CACHE_ALLOWED_PREFIXES", value: "relative", code: "bad_setting", rule: /absolute/ },
  { variable: "TORCHINDUCTOR_CACHE_DIR", value: "relative", code: "bad_setting", rule: /absolute/ },
  {
    variable: "TORCHINDUCTOR_CACHE_DIR",
    value: "/etc/cache",
    code: "path_outside_prefix",
    rule: /lie below/,
  },
  { variable: "TORCHINDUCTOR_CACHE_DIR", value: "/tmp", code: "path_outside_prefix", rule: /lie below/ },
  {
    variable: "TORCHINDUCTOR_CACHE_DIR",
    value: "/tmp/../etc",
    code: "bad_setting",
    rule: /"\.\." component/,
  },
  { variable: "B10FS_CACHE_DIR", value: "/etc/store", code: "path_outside_prefix", rule: /lie below/ },
  { variable: "B10FS_CACHE_DIR", value: "/tmpfoo/store", code: "path_outside_prefix", rule: /lie below/ },
  { variable: "LOCAL_WORK_DIR", value: "/etc/work", code: "path_outside_prefix", rule: /lie below/ },
];

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`settings, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test(
      "a bad value is exit status 1, and the message names variable, value and rule",
      options,
      async () => {
        using fleet = new Fleet();
        writeTree(fleet.pod("one").torchDir);
        const before = stamps(fleet.base);
        for (const { variable, value, code, rule } of badSettings) {
          const pod = fleet.pod("one", { [variable]: value });
          for (const operation of ["load", "save"]) {
            const report = await operate(target, pod, [operation]);
            assert.deepEqual([report.status, report.code], ["ERROR", code], `${variable}=${value}`);
            for (const part of [variable, JSON.stringify(value)]) {
              assert.ok(report.message.includes(part), `${part} in ${report.message}`);
            }
            assert.match(report.message, rule);
          }
          const said = await run(target, pod, ["save"]);
          assert.deepEqual([said.code, said.stdout], [1, ""]);
          assert.ok(said.stderr.includes(variable), said.stderr);
        }
        assert.deepEqual(stamps(fleet.base), before);
      },
    );

    test("wrong usage is exit status 64 and touches nothing", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      const before = stamps(fleet.base);
      for (const args of [["bogus"], ["load", "--bogus"], ["save", "extra"], ["run"], ["load", "--key"]]) {
        const { code, stdout, stderr } = await run(target, one, args);
        assert.deepEqual([code, stdout], [64, ""], args.join(" "));
        assert.match(stderr, /error/);
      }
      for (const args of [["--help"], ["help"], ["save", "--help"], ["--version"]]) {
        const { code, stdout, stderr } = await run(target, one, args);
        assert.deepEqual([code, stderr], [0, ""], args.join(" "));
        assert.notEqual(stdout, "");
      }
      assert.deepEqual(stamps(fleet.base), before);
    });

    test("a share that is not mounted is an ERROR, not a new directory", options, async () => {
      using fleet = new Fleet();
      const storeDir = path.join(fleet.base, "absent", "compile_cache");
      const one = fleet.pod("one", { B10FS_CACHE_DIR: storeDir });
      writeTree(one.torchDir);
      for (const operation of ["load", "save", "status", "list"]) {
        const report = await operate(target, one, [operation]);
        assert.deepEqual([report.status, report.code], ["ERROR", "store_not_mounted"], operation);
        assert.ok(report.message.includes("B10FS_CACHE_DIR"), report.message);
        assert.ok(report.message.includes(storeDir), report.message);
      }
      assert.ok(!fs.existsSync(path.dirname(storeDir)));
    });

    test("BASETEN_FS_ENABLED=0 switches the shared cache off", options, async () => {
      using fleet = new Fleet();
      for (const value of ["0", "false"]) {
        const one = fleet.pod("one", { BASETEN_FS_ENABLED: value });
        writeTree(one.torchDir);
        for (const operation of ["load", "save"]) {
          const report = await operate(target, one, [operation]);
          assert.deepEqual([report.status, report.code], ["ERROR", "disabled"]);
        }
      }
      assert.deepEqual(fs.readdirSync(fleet.share), []);
    });

    test("without a mount the store is the pod's own, which status says", {
      ...options,
      skip: target.skip || (fs.existsSync("/cache/model") ? "this machine has a b10cache mount" : false),
    }, async () => {
      using fleet = new Fleet();
      // Empty counts as unset.
      const one = fleet.pod("one", { B10FS_CACHE_DIR: "" });
      writeTree(one.torchDir);
      const said = await run(target, one, ["save"]);
      assert.equal(said.code, 0, said.stderr);
      assert.match(said.stderr, /warning: .*not mounted.*stays on this pod/);
      const store = path.join(one.home, ".cache", "b10-compile-cache", "store");
      assert.ok(fs.existsSync(path.join(store, "native", "format.json")));
      const status = await operate(target, one, ["status"]);
      assert.deepEqual(
        (status["store"] as { dir: string; shared: boolean }).shared,
        false,
      );
    });

    test("a value above its cap is clamped with a warning", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one", { MAX_CACHE_SIZE_MB: "5000", MAX_CONCURRENT_SAVES: "500" });
      writeTree(one.torchDir);
      const said = await run(target, one, ["save"]);
      assert.equal(said.code, 0, said.stderr);
      assert.match(said.stderr, /warning: MAX_CACHE_SIZE_MB 5000 is above MAX_CACHE_SIZE_CAP_MB 1024/);
      assert.match(said.stderr, /warning: MAX_CONCURRENT_SAVES 500 is above MAX_CONCURRENT_SAVES_CAP 100/);
    });

    test(
      "a cache above MAX_CACHE_SIZE_MB is an ERROR that leaves nothing in the store",
      options,
      async () => {
        using fleet = new Fleet();
        const one = fleet.pod("one", { MAX_CACHE_SIZE_MB: "1" });
        writeTree(one.torchDir);
        const large = path.join(one.torchDir, "large");
        const block = new Uint8Array(65_536);
        for (let part = 0; part < 32; part++) fs.appendFileSync(large, crypto.getRandomValues(block));
        const saved = await operate(target, one, ["save"]);
        assert.deepEqual([saved.status, saved.code], ["ERROR", "cache_too_large"]);
        assert.match(saved.message, /MAX_CACHE_SIZE_MB is 1 /);
        assert.deepEqual(storeFiles(fleet, ".tar.zst"), []);
        assert.deepEqual(storeFiles(fleet, "0.json"), []);
      },
    );

    test("the free space that the user asks for is checked before anything is written", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      const tooMuchMb = "999999999999";
      const greedy = fleet.pod("one", { MIN_B10FS_SPACE_MB: tooMuchMb });
      const saved = await operate(target, greedy, ["save"]);
      assert.deepEqual([saved.status, saved.code], ["ERROR", "no_space"]);
      assert.deepEqual(storeFiles(fleet, ".tar.zst"), []);
      await operate(target, one, ["save"]);
      const two = fleet.pod("two", { MIN_LOCAL_SPACE_MB: tooMuchMb });
      const loaded = await operate(target, two, ["load"]);
      assert.deepEqual([loaded.status, loaded.code], ["ERROR", "no_space"]);
      assert.ok(!fs.existsSync(two.torchDir), "the directory is as it was: not there");
    });

    test("a store within the cache, or a cache within the store, is refused", options, async () => {
      using fleet = new Fleet();
      const places = [
        { TORCHINDUCTOR_CACHE_DIR: fleet.share },
        { TORCHINDUCTOR_CACHE_DIR: path.join(fleet.storeDir, "below") },
        { TORCHINDUCTOR_CACHE_DIR: fleet.storeDir },
      ];
      for (const place of places) {
        for (const operation of ["load", "save", "clear"]) {
          const report = await operate(target, fleet.pod("one", place), [operation]);
          assert.deepEqual([report.status, report.code], ["ERROR", "paths_overlap"]);
        }
      }
    });
  });
}
