/** status, list and clear, as people and as programs see them. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { fixtureFiles, unpackFixture } from "../fixture.ts";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { kernelFence } from "../kernel_fence.ts";
import { Fleet, operate, reportOf, run, stamps, storeFiles, testTimeoutMs, writeTree } from "./fleet.ts";

interface Named {
  readonly name: string;
  readonly value: unknown;
  readonly source: string;
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`commands, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test("status shows settings, facts and both caches, each with where it came from", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one", { MAX_CACHE_SIZE_MB: "100" });
      writeTree(one.torchDir);
      const saved = await operate(target, one, ["save"]);
      const before = stamps(fleet.base);
      const status = await operate(target, one, ["status", "--namespace", "default"]);
      assert.deepEqual(stamps(fleet.base), before, "status writes nothing");

      const settings = new Map((status["settings"] as unknown as Named[]).map((row) => [row.name, row]));
      assert.deepEqual(settings.get("MAX_CACHE_SIZE_MB"), {
        name: "MAX_CACHE_SIZE_MB",
        value: 100,
        source: "environment",
      });
      assert.equal(settings.get("B10_CACHE_NAMESPACE")?.source, "flag");
      assert.deepEqual(settings.get("MAX_CONCURRENT_SAVES")?.value, 50);
      assert.equal(settings.get("MAX_CONCURRENT_SAVES")?.source, "default");
      assert.equal(status["key"], saved["key"]);
      for (const fact of status["facts"] as unknown as Named[]) assert.notEqual(fact.source, "", fact.name);
      const [local] = status["local"] as unknown as { files: number; free_bytes: number }[];
      assert.equal(local?.files, 5);
      assert.ok((local?.free_bytes ?? 0) > 0);
      const store = status["store"] as {
        shared: boolean;
        generation: number;
        files: number;
        free_bytes: number;
      };
      assert.deepEqual([store.shared, store.generation, store.files], [true, 1, 5]);
      assert.ok(store.free_bytes > 0);
      assert.equal(status["fence"], target.name === "deno" ? "deno-permissions" : kernelFence());
    });

    test("a pod without torch and without a GPU is said to be one", options, async () => {
      using fleet = new Fleet();
      const python = path.join(fleet.base, "no-such-python");
      const one = fleet.pod("one", { PATH: fleet.base });
      const status = reportOf(await run(target, one, ["status", "--json"]));
      const environment = status["environment"] as { torch: unknown; cuda: unknown; devices: unknown[] };
      assert.deepEqual([environment.torch, environment.cuda], [null, null]);
      const facts = new Map((status["facts"] as unknown as Named[]).map((row) => [row.name, row.source]));
      assert.match(facts.get("torch") ?? "", /^no interpreter$/);
      const bad = await operate(target, fleet.pod("one", { B10_CACHE_PYTHON: python }), ["status"]);
      assert.deepEqual([bad.status, bad.code], ["ERROR", "bad_setting"]);
      assert.ok(bad.message.includes(`B10_CACHE_PYTHON "${python}"`), bad.message);
    });

    test("status for people says the same", options, async () => {
      using fleet = new Fleet();
      const said = await run(target, fleet.pod("one"), ["status"]);
      assert.equal(said.code, 0, said.stderr);
      assert.match(said.stdout, /^key: [0-9a-f]{16,}$/m);
      assert.match(said.stdout, /^ {2}MAX_CACHE_SIZE_MB = 1024 \(default\)$/m);
      assert.match(said.stdout, /generation: none/);
      // Neither directory is there yet: it is said what they would have.
      assert.match(said.stdout, /files 0, .*free_bytes \d/);
      assert.match(said.stdout, /^ {2}free_bytes: \d/m);
    });

    test("status says what is wrong, with all that was found out before", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one", { B10FS_CACHE_DIR: path.join(fleet.base, "absent", "store") });
      const ended = await run(target, one, ["status"]);
      assert.equal(ended.code, 1);
      assert.match(ended.stdout, /^key: /m);
      assert.match(ended.stderr, /store_not_mounted/);
    });

    test("status shows no secret that stands in a setting", options, async () => {
      using fleet = new Fleet();
      const url = "http://user:s3cret@127.0.0.1:9/v1/models?api_key=s3cret";
      const pod = fleet.pod("one", { B10_TRANSFER_VLLM_URL: url });
      const wrong = fleet.pod("one", { B10_CACHE_SIGNING_KEY_FILE: "-----BEGIN PRIVATE KEY-----\ns3cret\n" });
      for (
        const [of, said] of [[pod, "http://127.0.0.1:9/v1/models"], [wrong, "may be a key itself"]] as const
      ) {
        for (const words of [["status"], ["status", "--json"]]) {
          const { stdout, stderr } = await run(target, of, words);
          assert.ok((stdout + stderr).includes(said), stdout + stderr);
          assert.ok(!(stdout + stderr).includes("s3cret"), stdout + stderr);
        }
      }
    });

    test("list shows every cache in the store", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      const empty = await operate(target, one, ["list"]);
      assert.deepEqual([empty.status, empty["caches"]], ["SUCCESS", []]);
      writeTree(one.torchDir);
      for (const key of ["b", "a"]) await operate(target, one, ["save", "--key", key]);
      await operate(target, fleet.pod("two"), ["load", "--key", "a"]);
      const listed = await operate(target, one, ["list"]);
      const caches = listed["caches"] as {
        key: string;
        generation: number;
        layers: number;
        files: number;
        bytes: number;
        last_used_at: string | null;
      }[];
      assert.deepEqual(
        caches.map(({ key, generation, layers, files }) => [key, generation, layers, files]),
        [["a", 1, 1, 5], ["b", 1, 1, 5]],
      );
      assert.notEqual(caches[0]?.last_used_at, null);
      assert.equal(caches[1]?.last_used_at, null);
      const said = await run(target, one, ["list"]);
      assert.match(said.stdout, /^a\n {2}.*\n {2}generation 1, 1 layer, 5 files/m);
    });

    test("list says which cache is damaged, and goes on", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      for (const key of ["a", "b"]) await operate(target, one, ["save", "--key", key]);
      const [first = ""] = storeFiles(fleet, "1.json");
      fs.truncateSync(first, 10);
      const caches = (await operate(target, one, ["list"]))["caches"] as {
        key: string;
        generation: number | null;
        problem: string | null;
      }[];
      assert.deepEqual(caches.map(({ key, generation }) => [key, generation]), [["a", null], ["b", 1]]);
      assert.match(caches[0]?.problem ?? "", /no valid generation/);
    });

    test("clear empties the local directory and nothing else", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir, "caa");
      writeTree(one.vllmDir);
      await operate(target, one, ["save"]);
      const outside = path.join(fleet.base, "outside");
      fs.mkdirSync(outside);
      fs.writeFileSync(path.join(outside, "kept"), "kept");
      fs.symlinkSync(outside, path.join(one.torchDir, "dynamo"));
      const storeBefore = stamps(fleet.share);
      const cleared = await operate(target, one, ["clear"]);
      assert.deepEqual([cleared.status, cleared["files"]], ["SUCCESS", 6]);
      assert.deepEqual(fs.readdirSync(one.torchDir), []);
      assert.equal(fs.readFileSync(path.join(outside, "kept"), "utf8"), "kept");
      assert.notDeepEqual(fs.readdirSync(one.vllmDir), []);
      assert.deepEqual(stamps(fleet.share), storeBefore);
      assert.equal((await operate(target, one, ["clear"])).status, "SKIPPED");
      assert.equal((await operate(target, one, ["load"])).status, "SUCCESS");
    });

    test("clear leaves alone what is no cache, all of it, and says why", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir, "caa");
      fs.mkdirSync(path.join(one.torchDir, ".git"));
      const report = await operate(target, one, ["clear"]);
      assert.deepEqual([report.status, report.code], ["ERROR", "not_a_cache"]);
      assert.match(report.message, /a compile cache has no "\.git"; remove by hand/);
      fs.rmdirSync(path.join(one.torchDir, ".git"));
      const operators = { B10_CACHE_ALLOWED_PREFIXES: `${fleet.base}:${one.torchDir}` };
      const prefix = await operate(target, fleet.pod("one", operators), ["clear"]);
      assert.deepEqual([prefix.status, prefix.code], ["ERROR", "not_a_cache"]);
      assert.match(prefix.message, /holds the allowed prefix/);
      assert.ok(fs.existsSync(path.join(one.torchDir, "aa", "caa.so")));
    });

    test(
      "clear leaves alone whatever a setting or an option leads it to that is no cache",
      options,
      async () => {
        using fleet = new Fleet();
        const data = path.join(fleet.base, "data");
        const write = (...names: readonly string[]) => {
          for (const name of names) {
            fs.mkdirSync(path.dirname(path.join(data, name)), { recursive: true });
            fs.writeFileSync(path.join(data, name), "precious");
          }
        };
        write(
          "a/photos/p.jpg",
          "a/thesis.tex",
          "t/datasets/train.parquet",
          "t/README.md",
          "i/important/copy.bin",
        );
        fs.mkdirSync(path.join(data, "i/cache"));
        const before = stamps(data);
        const attempts: readonly (readonly [Record<string, string>, string[], RegExp])[] = [
          [{}, ["--root", `x=${data}/a`], /the x cache .*\/a" as nothing says what belongs/],
          [
            { TRITON_CACHE_DIR: `${data}/t` },
            ["--all-roots"],
            /the triton cache .*\/t" as "(datasets|README.md)" in it/,
          ],
          [
            { TORCHINDUCTOR_CACHE_DIR: `${data}/i` },
            [],
            /the inductor cache .*\/i" as "important" in it does not/,
          ],
        ];
        for (const [env, words, message] of attempts) {
          const report = await operate(target, fleet.pod("one", env), ["clear", ...words]);
          assert.deepEqual([report.status, report.code], ["ERROR", "not_a_cache"]);
          assert.match(report.message, message);
        }
        assert.deepEqual(stamps(data), before);
      },
    );

    test("clear empties what its owner has tagged, and leaves it tagged", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      const mine = path.join(fleet.base, "mine");
      const tag = path.join(mine, "CACHEDIR.TAG");
      writeTree(mine);
      const clear = () => operate(target, one, ["clear", "--root", `mine=${mine}`]);
      fs.writeFileSync(tag, "This is not what the specification asks for.");
      assert.equal((await clear()).code, "not_a_cache");
      fs.writeFileSync(tag, "Signature: 8a477f597d28d172789f06886806bc55\n# by its owner\n");
      assert.deepEqual([(await clear())["files"], fs.readdirSync(mine)], [5, ["CACHEDIR.TAG"]]);
      assert.equal((await clear()).status, "SKIPPED");
    });

    test("clear empties the cache that torch left on a GPU", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      await unpackFixture(one.torchDir);
      const cleared = await operate(target, one, ["clear"]);
      assert.deepEqual([cleared.status, cleared["files"]], ["SUCCESS", fixtureFiles], cleared.message);
      assert.deepEqual(fs.readdirSync(one.torchDir), []);
    });

    test("a store that everyone can write to is a warning, once; status says who can", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const writers = async () => {
        const { stdout, stderr } = await run(target, one, ["status", "--json"]);
        return {
          by: JSON.parse(stdout).store.writable_by,
          warnings: stderr.split("everyone can write").length - 1,
        };
      };
      fs.chmodSync(fleet.storeDir, 0o777);
      assert.deepEqual(await writers(), { by: "everyone (mode 777)", warnings: 1 });
      for (const words of [["load"], ["save"], ["list"], ["explain"]]) {
        const { stderr } = await run(target, one, words);
        assert.equal(stderr.split("everyone can write").length, 2, stderr);
      }
      fs.chmodSync(fleet.storeDir, 0o1777);
      assert.deepEqual(await writers(), { by: "everyone (mode 1777)", warnings: 0 });
      fs.chmodSync(fleet.storeDir, 0o755);
      assert.match((await writers()).by, /^user \d+ \(mode 755\)$/);
    });

    test("clear never empties a prefix itself", options, async () => {
      using fleet = new Fleet();
      fs.writeFileSync(path.join(fleet.base, "kept"), "kept");
      const link = path.join(fleet.base, "link-to-base");
      fs.symlinkSync(fleet.base, link);
      for (const dir of [fleet.base, `${fleet.base}/`, `${fleet.base}/.`, link, "/tmp", "/tmp/", "/"]) {
        // The fleet's own base lies below /tmp on Linux, where it is an ordinary directory that holds the store.
        const report = await operate(target, fleet.pod("one", { TORCHINDUCTOR_CACHE_DIR: dir }), ["clear"]);
        assert.equal(report.status, "ERROR", dir);
        assert.match(String(report.code), /^(path_outside_prefix|paths_overlap)$/, dir);
      }
      assert.equal(fs.readFileSync(path.join(fleet.base, "kept"), "utf8"), "kept");
    });
  });
}
