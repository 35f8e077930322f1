/** `b10-compile-cache & vllm serve …`: it loads, waits for the server, saves what is new, and says how it went. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import type { Report } from "../../lib/status.ts";
import { takeSnapshot } from "../../scripts/snapshot.ts";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, operate, reportOf, run, start, storeFiles, testTimeoutMs, writeTree } from "./fleet.ts";
import { startServer, waitUntil } from "./server.ts";

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`automatic mode, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test("nothing saved yet: it saves once the server is up", options, async () => {
      using fleet = new Fleet();
      await using server = await startServer(503);
      const settings = { B10_TRANSFER_VLLM_URL: server.url, B10_TRANSFER_INTERVAL_S: "0.05" };
      const one = fleet.pod("one", settings);
      const running = start(target, one, ["--json"]);
      await waitUntil(() => server.requests() >= 2, "the server is asked again");
      assert.ok(!fs.existsSync(fleet.storeDir), "nothing is saved before the server is up");
      writeTree(one.vllmDir);
      server.answer(200);
      const ended = await running.ended;
      assert.equal(ended.code, 0, ended.stderr);
      const report = reportOf(ended) as Report & { load: Report; save: Report };
      assert.deepEqual(
        [report.operation, report.status, report.load.status, report.save.status],
        ["automatic", "SUCCESS", "DOES_NOT_EXIST", "SUCCESS"],
      );

      const two = fleet.pod("two", settings);
      const again = reportOf(await run(target, two, ["--json"])) as Report & { load: Report; save: Report };
      assert.deepEqual([again.load.status, again.save.status], ["SUCCESS", "SKIPPED"]);
      assert.equal(takeSnapshot(two.vllmDir).size, 5);
    });

    for (const status of [401, 403]) {
      test(`a server that wants an API key, ${status}, is up`, options, async () => {
        using fleet = new Fleet();
        await using server = await startServer(status);
        const one = fleet.pod("one", { B10_TRANSFER_VLLM_URL: server.url });
        writeTree(one.vllmDir);
        assert.equal((await run(target, one, [])).code, 0);
        assert.equal(storeFiles(fleet, ".tar.zst").length, 1);
      });
    }

    test("a server that is not ready in time is exit status 2", options, async () => {
      using fleet = new Fleet();
      await using server = await startServer(503);
      const one = fleet.pod("one", {
        B10_TRANSFER_VLLM_URL: server.url,
        B10_TRANSFER_TIMEOUT_S: "0.3",
        B10_TRANSFER_INTERVAL_S: "0.05",
      });
      writeTree(one.vllmDir);
      const ended = await run(target, one, ["--json"]);
      assert.equal(ended.code, 2, ended.stderr);
      assert.match(reportOf(ended).message, /did not answer .* B10_TRANSFER_TIMEOUT_S/);
      assert.ok(!fs.existsSync(fleet.storeDir));
    });

    test("a save that fails is exit status 3", options, async () => {
      using fleet = new Fleet();
      await using server = await startServer(200);
      const one = fleet.pod("one", { B10_TRANSFER_VLLM_URL: server.url, MIN_B10FS_SPACE_MB: "999999999999" });
      writeTree(one.vllmDir);
      const ended = await run(target, one, ["--json"]);
      assert.equal(ended.code, 3, ended.stderr);
      const report = reportOf(ended);
      assert.deepEqual([report.status, report.code], ["ERROR", "no_space"]);
    });

    test("settings that leave nothing to do are exit status 1, without a wait", options, async () => {
      using fleet = new Fleet();
      await using server = await startServer(503);
      for (
        const [settings, code] of [
          [{ MAX_CACHE_SIZE_MB: "lots" }, "bad_setting"],
          [{ BASETEN_FS_ENABLED: "0" }, "disabled"],
          [{ VLLM_CACHE_ROOT: "/etc/vllm" }, "path_outside_prefix"],
        ] as const
      ) {
        const pod = fleet.pod("one", { ...settings, B10_TRANSFER_VLLM_URL: server.url });
        const ended = await run(target, pod, ["--json"]);
        assert.equal(ended.code, 1, ended.stderr);
        assert.equal(reportOf(ended).code, code);
      }
      assert.equal(server.requests(), 0);
    });

    test("--fail-on-miss is exit status 4 at once", options, async () => {
      using fleet = new Fleet();
      await using server = await startServer(200);
      const one = fleet.pod("one", { B10_TRANSFER_VLLM_URL: server.url });
      assert.equal((await run(target, one, ["--fail-on-miss"])).code, 4);
      assert.equal(server.requests(), 0);
    });

    for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
      test(`${signal} while it waits is exit status ${code}`, options, async () => {
        using fleet = new Fleet();
        await using server = await startServer(503);
        const one = fleet.pod("one", {
          B10_TRANSFER_VLLM_URL: server.url,
          B10_TRANSFER_INTERVAL_S: "0.05",
        });
        writeTree(one.vllmDir);
        const running = start(target, one, []);
        await waitUntil(() => server.requests() > 0, "the server is asked");
        running.kill(signal);
        assert.equal((await running.ended).code, code);
        assert.ok(!fs.existsSync(path.join(fleet.storeDir, "native")));
        assert.equal((await operate(target, one, ["save", "--vllm"])).status, "SUCCESS");
      });
    }
  });
}
