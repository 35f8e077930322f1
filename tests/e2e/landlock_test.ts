/** The kernel's own fence around the compiled program and Bun: what is inside it, what is outside, and what it stops. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { kernelFence } from "../kernel_fence.ts";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, type Pod, run, start, testTimeoutMs, writeTree } from "./fleet.ts";

const strace = "/usr/bin/strace";
const fenceCalls = "landlock_restrict_self,execve,mkdir,rename,renameat,renameat2,link,linkat";

/** Landlock's calls fail as on a kernel without. */
const withoutLandlock = `exec ${strace} -f -o /dev/null -e trace=landlock_create_ruleset ` +
  '-e inject=landlock_create_ruleset:error=ENOSYS -e signal=none "$@"';

function whyNotHere(): string | false {
  if (kernelFence() === "none") return "this kernel has no Landlock";
  return fs.existsSync(strace) ? false : "strace is not installed";
}

async function jsonOf(ended: ReturnType<typeof run>): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await ended;
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout);
}

/** Until the file has this text: the program, which is held by strace, is there. */
async function untilTraced(file: string, text: string): Promise<void> {
  while (!fs.existsSync(file) || !fs.readFileSync(file, "utf8").includes(text)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  if (target.name === "deno") continue;
  describe(`the kernel's fence, ${target.name}`, () => {
    const skip = target.skip || whyNotHere();
    const options = { skip, timeout: testTimeoutMs };

    test(
      "load, save, import, export, list, verify, prune, clear and status run inside",
      options,
      async () => {
        using fleet = new Fleet();
        const [one, two] = [fleet.pod("one"), fleet.pod("two")];
        writeTree(one.torchDir, "caa");
        const bundle = path.join(fleet.base, "bundle.tar.zst");
        const commands: readonly (readonly [Pod, readonly string[]])[] = [
          [one, ["save"]],
          [two, ["load"]],
          [one, ["export", bundle]],
          [one, ["import", bundle]],
          [one, ["list"]],
          [one, ["verify"]],
          [one, ["prune", "--keep-last", "2"]],
          [one, ["status"]],
          [two, ["clear"]],
        ];
        for (const [pod, words] of commands) {
          const name = words[0] ?? "";
          const trace = path.join(fleet.base, `${name}.trace`);
          const shell = `exec ${strace} -f -o ${trace} -e trace=${fenceCalls} -e signal=none "$@"`;
          const ended = await run(target, pod, words, { shell });
          assert.equal(ended.code, 0, `${name}: ${ended.stderr}`);
          const lines = fs.readFileSync(trace, "utf8").split("\n");
          const fenced = lines.findIndex((line) => /landlock_restrict_self\(.*= 0/.test(line));
          assert.ok(fenced > 0, `${name} is not fenced`);
          assert.match(lines.slice(fenced + 1).join("\n"), /execve\("\/proc\/self\/exe"/, name);
          // Nothing is committed before: what is made there are directories.
          for (const line of lines.slice(0, fenced)) assert.doesNotMatch(line, /\b(rename|link)/, name);
        }
      },
    );

    test(
      "what is put in a directory's place once it was checked is not written through",
      options,
      async () => {
        using fleet = new Fleet();
        const [one, two] = [fleet.pod("one"), fleet.pod("two")];
        writeTree(one.torchDir);
        assert.equal((await run(target, one, ["save"])).code, 0);
        const outside = path.join(fleet.base, "outside");
        fs.mkdirSync(outside);
        // A directory that is there already is filled file by file; each waits a while before it is moved to its place.
        const filled = path.join(two.torchDir, "aa");
        fs.mkdirSync(filled, { recursive: true });
        fs.writeFileSync(path.join(filled, "own"), "");
        const trace = path.join(fleet.base, "trace");
        const moves = "rename,renameat,renameat2,link,linkat";
        const shell =
          `exec ${strace} -f -o ${trace} -e trace=${moves} -e inject=${moves}:delay_enter=1500000 ` +
          '-e signal=none "$@"';
        const loading = start(target, two, ["load", "--json"], { shell });
        await untilTraced(trace, `"${filled}/`);
        fs.renameSync(filled, `${filled}-was`);
        fs.symlinkSync(outside, filled);
        await loading.ended;
        assert.deepEqual(fs.readdirSync(outside), []);
        assert.match(fs.readFileSync(trace, "utf8"), /= -1 (EACCES|EXDEV)/);
      },
    );

    test("run's COMMAND is outside", options, async () => {
      using fleet = new Fleet();
      const pod = fleet.pod("one");
      const file = path.join(fleet.base, "written by COMMAND");
      const ended = await run(target, pod, ["run", "--", "sh", "-c", 'echo text > "$0"', file]);
      assert.equal(ended.code, 0, ended.stderr);
      assert.equal(fs.readFileSync(file, "utf8"), "text\n");
    });

    test("nothing of it is left in the environment of a command", options, async () => {
      using fleet = new Fleet();
      const ended = await run(target, fleet.pod("one"), ["run", "--", "env"]);
      assert.equal(ended.code, 0, ended.stderr);
      assert.doesNotMatch(ended.stdout, /B10_CACHE_INSIDE_FENCE/);
    });

    test("status names it; a kernel without it is named too, and stops nothing", options, async () => {
      using fleet = new Fleet();
      const pod = fleet.pod("one");
      writeTree(pod.torchDir);
      assert.equal((await jsonOf(run(target, pod, ["status", "--json"])))["fence"], "landlock");
      const shell = withoutLandlock;
      assert.equal((await jsonOf(run(target, pod, ["status", "--json"], { shell })))["fence"], "none");
      assert.equal((await jsonOf(run(target, pod, ["save", "--json"], { shell })))["status"], "SUCCESS");
      assert.equal((await jsonOf(run(target, fleet.pod("two"), ["load", "--json"])))["status"], "SUCCESS");
    });

    test("a notice is said once, by the process outside", options, async () => {
      using fleet = new Fleet();
      const pod = fleet.pod("one", { B10_TRANSFER_CLI_LOGLEVEL: "debug", TRITON_CACHE_DIR: "not absolute" });
      writeTree(pod.torchDir);
      const { stderr } = await run(target, pod, ["save", "--all-roots"]);
      const lines = stderr.split("\n").filter((line) => line !== "");
      assert.ok(lines.some((line) => line.includes("is left out")), stderr);
      assert.deepEqual(lines, [...new Set(lines)]);
    });
  });
}
