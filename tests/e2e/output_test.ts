/** What goes to stdout, what to stderr, and what a terminal and a log see. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, reportOf, run, testTimeoutMs, writeLargeTree, writeTree } from "./fleet.ts";

const escape = "\x1b[";

/** util-linux's: it runs a command on a terminal of its own. */
const script = "/usr/bin/script";
const noScript = process.platform !== "linux" || !fs.existsSync(script)
  ? "util-linux's script is not installed"
  : false;

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`output, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test(
      "--json prints one object with the promised fields, and nothing else on stdout",
      options,
      async () => {
        using fleet = new Fleet();
        const one = fleet.pod("one");
        writeTree(one.torchDir);
        const report = reportOf(await run(target, one, ["save", "--json"]));
        const { elapsed_ms, message, key, stored_bytes, ...rest } = report;
        assert.deepEqual(rest, {
          operation: "save",
          status: "SUCCESS",
          generation: 1,
          files: 5,
          bytes: rest["bytes"],
        });
        assert.match(String(key), /^[0-9a-f]{64}$/);
        assert.ok(
          Number.isInteger(elapsed_ms) && Number(rest["bytes"]) > 3_000 && Number(stored_bytes) > 3_000,
        );
        assert.match(message, /saved 5 files/);
      },
    );

    test("results go to stdout, notices to stderr, and --quiet leaves errors alone", options, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one", { MAX_CACHE_SIZE_MB: "5000" });
      writeTree(one.torchDir);
      const saved = await run(target, one, ["save"]);
      assert.match(saved.stdout, /^save SUCCESS: .*\n$/);
      assert.match(saved.stderr, /^b10-compile-cache: warning: .*\n$/);
      assert.deepEqual(await run(target, one, ["save", "--quiet"]), { code: 0, stdout: "", stderr: "" });
      const failed = await run(target, fleet.pod("one", { MAX_CACHE_SIZE_MB: "x" }), ["save", "--quiet"]);
      assert.deepEqual([failed.code, failed.stdout], [1, ""]);
      assert.match(failed.stderr, /error: .*MAX_CACHE_SIZE_MB/);
    });

    test(
      "off a terminal there is no ANSI, and no line but the result of what takes a moment",
      options,
      async () => {
        using fleet = new Fleet();
        const one = fleet.pod("one", { NO_COLOR: "" });
        writeLargeTree(one.torchDir);
        const saved = await run(target, one, ["save", "--verbose"]);
        assert.equal(saved.code, 0, saved.stderr);
        assert.ok(!saved.stdout.includes(escape) && !saved.stderr.includes(escape), saved.stderr);
        const failed = await run(target, fleet.pod("one", { NO_COLOR: "", MAX_CACHE_SIZE_MB: "x" }), [
          "save",
        ]);
        assert.ok(!failed.stderr.includes(escape), failed.stderr);
      },
    );

    test("on a terminal a bar shows the progress, and is gone at the end", {
      ...options,
      skip: target.skip || noScript,
    }, async () => {
      using fleet = new Fleet();
      const one = fleet.pod("one", { NO_COLOR: "", TERM: "xterm" });
      writeLargeTree(one.torchDir);
      const shell = `exec ${script} -qefc "$*" /dev/null`;
      const shown = await run(target, one, ["save"], { shell });
      assert.equal(shown.code, 0, shown.stdout);
      assert.match(shown.stdout, /save .*100% of 9\.83 MB/);
      assert.ok(shown.stdout.includes(escape));
      assert.match(shown.stdout, /save SUCCESS: .*\r\n$/);
      const quiet = await run(target, one, ["load", "--quiet"], { shell });
      assert.equal(quiet.stdout, "");
      const dumb = await run(target, fleet.pod("two", { TERM: "dumb", NO_COLOR: "1" }), ["load"], { shell });
      assert.ok(!dumb.stdout.includes(escape), dumb.stdout);
      assert.match(dumb.stdout, /load SUCCESS/);
    });

    test("a terminal gets colours for errors, unless NO_COLOR or --no-color is there", {
      ...options,
      skip: target.skip || noScript,
    }, async () => {
      using fleet = new Fleet();
      const shell = `exec ${script} -qefc "$*" /dev/null`;
      const bad = { MAX_CACHE_SIZE_MB: "x", TERM: "xterm" };
      const coloured = await run(target, fleet.pod("one", { ...bad, NO_COLOR: "" }), ["save"], { shell });
      assert.ok(coloured.stdout.includes(`${escape}31m`), coloured.stdout);
      const off = await run(target, fleet.pod("one", { ...bad, NO_COLOR: "1" }), ["save"], { shell });
      assert.ok(!off.stdout.includes(`${escape}31m`), off.stdout);
      const flagged = await run(target, fleet.pod("one", { ...bad, NO_COLOR: "" }), ["save", "--no-color"], {
        shell,
      });
      assert.ok(!flagged.stdout.includes(`${escape}31m`), flagged.stdout);
    });
  });
}
