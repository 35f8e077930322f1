/** `run -- COMMAND`: COMMAND comes first, whatever becomes of the cache. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import type { Report } from "../../lib/status.ts";
import { takeSnapshot } from "../../scripts/snapshot.ts";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, operate, type Pod, run, start, storeFiles, testTimeoutMs, writeTree } from "./fleet.ts";
import { startServer, untilSaved, untilThere, waitForFile, waitUntil } from "./server.ts";

const sh = (script: string) => ["run", "--", "/bin/sh", "-c", script];

function readReport(
  file: string,
): { load: Report | null; save: Report | null; command_status: number | null } {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`run, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test(
      "the cache is there before COMMAND starts, and what it adds is saved once it is ready",
      options,
      async () => {
        using fleet = new Fleet();
        await using server = await startServer(200);
        const settings = { B10_TRANSFER_VLLM_URL: server.url, B10_TRANSFER_INTERVAL_S: "0.05" };
        const [one, two] = [fleet.pod("one", settings), fleet.pod("two", settings)];
        const first = await run(target, one, [
          "run",
          "--report",
          path.join(fleet.base, "report.json"),
          "--",
          "/bin/sh",
          "-c",
          `mkdir -p "$VLLM_CACHE_ROOT/a"; echo compiled > "$VLLM_CACHE_ROOT/a/graph"; ${
            untilSaved(fleet)
          }; ` +
          "sleep 0.2; exit 7",
        ]);
        assert.equal(first.code, 7, first.stderr);
        const report = readReport(path.join(fleet.base, "report.json"));
        assert.deepEqual(
          [report.load?.status, report.save?.status, report.command_status],
          ["DOES_NOT_EXIST", "SUCCESS", 7],
        );

        const second = await run(target, two, sh('cat "$VLLM_CACHE_ROOT/a/graph"'));
        assert.deepEqual([second.code, second.stdout], [0, "compiled\n"], second.stderr);
      },
    );

    test("stdin, stdout and stderr are COMMAND's own", options, async () => {
      using fleet = new Fleet();
      const script = "cat; echo out; echo err >&2";
      const ended = await run(target, fleet.pod("one"), sh(script), { shell: 'echo in | "$@"' });
      assert.deepEqual([ended.code, ended.stdout], [0, "in\nout\n"]);
      assert.match(ended.stderr, /^err$/m);
    });

    test("the exit status is COMMAND's own", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one");
      const plain = path.join(fleet.base, "plain");
      fs.writeFileSync(plain, "no program", { mode: 0o644 });
      const commands: readonly (readonly [readonly string[], number])[] = [
        [sh("exit 0"), 0],
        [sh("exit 5"), 5],
        [sh("kill -KILL $$"), 137],
        [sh("kill -TERM $$"), 143],
        [["run", "true"], 0],
        [["run", "--", "no-such-command-anywhere"], 127],
        [["run", "--", path.join(fleet.base, "absent")], 127],
        [["run", "--", plain], 126],
      ];
      for (const [args, expected] of commands) {
        const { code, stdout, stderr } = await run(target, one, args);
        assert.deepEqual([code, stdout], [expected, ""], `${args.join(" ")}: ${stderr}`);
      }
    });

    test("a cache that is broken in any way does not keep COMMAND from starting", options, async () => {
      using fleet = new Fleet();
      const good = fleet.pod("good");
      writeTree(good.vllmDir);
      await operate(target, good, ["save", "--vllm"]);
      for (const file of storeFiles(fleet, ".tar.zst")) fs.truncateSync(file, 100);
      const notMounted = path.join(fleet.base, "absent", "store");
      const pods: readonly (readonly [Pod, RegExp])[] = [
        [fleet.pod("damaged"), /bad_layer/],
        [fleet.pod("setting", { MAX_CACHE_SIZE_MB: "lots" }), /MAX_CACHE_SIZE_MB "lots"/],
        [fleet.pod("outside", { VLLM_CACHE_ROOT: "/etc/vllm" }), /path_outside_prefix/],
        [fleet.pod("unmounted", { B10FS_CACHE_DIR: notMounted }), /store_not_mounted/],
        [fleet.pod("disabled", { BASETEN_FS_ENABLED: "0" }), /disabled/],
      ];
      for (const [pod, said] of pods) {
        const ended = await run(target, pod, sh("echo started; exit 3"));
        assert.deepEqual([ended.code, ended.stdout], [3, "started\n"], ended.stderr);
        assert.match(ended.stderr, said);
      }
    });

    for (
      const [signal, code] of [["SIGTERM", 41], ["SIGINT", 42], ["SIGHUP", 43], ["SIGUSR1", 44]] as const
    ) {
      test(`${signal} reaches COMMAND, whose status wins`, options, async () => {
        using fleet = new Fleet();
        const ready = path.join(fleet.base, "ready");
        const trap = `trap "exit ${code}" ${signal.slice(3)}; echo > ${ready}; ` +
          "n=0; while [ $n -lt 400 ]; do sleep 0.05; n=$((n+1)); done; exit 99";
        const running = start(target, fleet.pod("one"), sh(trap));
        await waitForFile(ready);
        running.kill(signal);
        const ended = await running.ended;
        assert.equal(ended.code, code, ended.stderr);
      });
    }

    test("SIGTERM ends it also while the load hangs", options, async () => {
      using fleet = new Fleet();
      // The load asks this Python for its packages, and is stopped by it: it obeys nothing but SIGKILL.
      const python = path.join(fleet.base, "python3");
      const stopped = path.join(fleet.base, "stopped");
      fs.writeFileSync(python, `#!/bin/sh\nkill -STOP $PPID; echo > ${stopped}\n`, { mode: 0o755 });
      const running = start(target, fleet.pod("one", { B10_CACHE_PYTHON: python }), sh("echo started"));
      await waitForFile(stopped);
      const startMs = performance.now();
      running.kill("SIGTERM");
      const ended = await running.ended;
      assert.deepEqual([ended.code, ended.stdout], [143, ""], ended.stderr);
      // B10_CACHE_LOAD_TIMEOUT_S alone is 60 s.
      assert.ok(performance.now() - startMs < 30_000);
    });

    for (
      const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129], ["SIGQUIT", 131]] as const
    ) {
      test(
        `${signal} before COMMAND has started is exit status ${code}, and COMMAND never starts`,
        options,
        async () => {
          using fleet = new Fleet();
          const python = path.join(fleet.base, "python3");
          const asked = path.join(fleet.base, "asked");
          fs.writeFileSync(python, `#!/bin/sh\necho > ${asked}; exec sleep 5\n`, { mode: 0o755 });
          const running = start(target, fleet.pod("one", { B10_CACHE_PYTHON: python }), sh("echo started"));
          await waitForFile(asked);
          running.kill(signal);
          const ended = await running.ended;
          assert.deepEqual([ended.code, ended.stdout], [code, ""], ended.stderr);
        },
      );
    }

    test("a pod that is told to read only saves nothing, and proves all the same", options, async () => {
      using fleet = new Fleet();
      await using server = await startServer(200);
      const one = fleet.pod("one", {
        B10_TRANSFER_VLLM_URL: server.url,
        B10_CACHE_READ_ONLY: "1",
        B10_CACHE_QUIET_S: "0",
      });
      writeTree(one.vllmDir);
      const proven = path.join(fleet.base, "proven");
      const running = start(target, one, sh(`${untilThere(proven)}; sleep 0.5`));
      await waitUntil(() => running.said().includes("cache COLD: ready after"), "the start is proven");
      fs.writeFileSync(proven, "");
      const ended = await running.ended;
      assert.equal(ended.code, 0, ended.stderr);
      assert.doesNotMatch(ended.stderr, /: save /);
      assert.ok(!fs.existsSync(fleet.storeDir) || storeFiles(fleet, ".json").length === 0);
    });

    test("--host and --port of COMMAND are where its server is asked", options, async () => {
      using fleet = new Fleet();
      await using server = await startServer(200);
      const { port } = new URL(server.url);
      const one = fleet.pod("one", { B10_TRANSFER_INTERVAL_S: "0.05" });
      writeTree(one.vllmDir);
      const script = `${untilSaved(fleet)}; sleep 0.2`;
      const args = [
        "run",
        "--",
        "/bin/sh",
        "-c",
        script,
        "vllm",
        "serve",
        "--host=127.0.0.1",
        "--port",
        port,
      ];
      const ended = await run(target, one, args);
      assert.equal(ended.code, 0, ended.stderr);
      assert.match(ended.stderr, /save SUCCESS/);
      const two = fleet.pod("two");
      await operate(target, two, ["load", "--vllm"]);
      assert.equal(takeSnapshot(two.vllmDir).size, 5);
    });
  });
}
