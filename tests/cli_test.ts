import assert from "node:assert/strict";
import * as fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runCli } from "../lib/cli.ts";
import type { FileSystem, Host, Stdio, System } from "../lib/system.ts";
import { version } from "../lib/version.ts";
import { FakeClock } from "./fake_clock.ts";
import { fakeSystem, only } from "./fake_system.ts";

interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in a world of standard output and error and of `overrides`: any other use fails the test. */
async function cli(
  argv: readonly string[],
  overrides: Partial<System> = {},
  terminal = false,
): Promise<Said> {
  const said = { stdout: "", stderr: "" };
  const stdio = only<Stdio>("stdio", {
    argv,
    stdinIsTerminal: terminal,
    stderrIsTerminal: terminal,
    stdout: (text) => {
      said.stdout += text;
    },
    stderr: (text) => {
      said.stderr += text;
    },
  });
  const status = await runCli(fakeSystem({ stdio, ...overrides }));
  return { status, ...said };
}

function assertGolden(name: string, actual: string): void {
  const file = fileURLToPath(new URL(`golden/${name}.txt`, import.meta.url));
  if (process.env["B10_UPDATE_GOLDEN"]) fs.writeFileSync(file, actual);
  const golden = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  assert.equal(actual, golden, `tests/golden/${name}.txt; B10_UPDATE_GOLDEN=1 writes it anew`);
}

/** The commands that the program's help lists. */
async function listedCommands(): Promise<string[]> {
  const { stdout } = await cli(["--help"]);
  const section = stdout.slice(stdout.indexOf("Commands:\n"), stdout.indexOf("Exit status:"));
  return [...section.matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name = ""]) => name).filter((name) =>
    name !== "help"
  );
}

test("the program's help is the one in tests/golden, and goes to stdout", async () => {
  const { status, stdout, stderr } = await cli(["--help"]);
  assert.equal(status, 0);
  assert.equal(stderr, "");
  assertGolden("help", stdout);
});

test("each command's help is the one in tests/golden", async () => {
  const commands = await listedCommands();
  assert.ok(["run", "load", "save", "status", "list", "clear"].every((name) => commands.includes(name)));
  for (const name of commands) {
    const { status, stdout, stderr } = await cli([name, "--help"]);
    assert.equal(status, 0);
    assert.equal(stderr, "");
    assertGolden(`help_${name}`, stdout);
  }
});

test("help and help COMMAND say the same as --help", async () => {
  assert.deepEqual(await cli(["help"]), await cli(["--help"]));
  for (const name of await listedCommands()) {
    assert.deepEqual(await cli(["help", name]), await cli([name, "--help"]));
  }
});

test("--help wins over other options, and nothing is done", async () => {
  const { status, stdout } = await cli(["load", "--json", "--key", "3f", "--help"]);
  assert.equal(status, 0);
  assert.match(stdout, /^Usage: b10-compile-cache load/);
});

test("--version prints the version alone", async () => {
  assert.deepEqual(await cli(["--version"]), { status: 0, stdout: `${version}\n`, stderr: "" });
});

const wrongUsages: readonly (readonly [string, RegExp])[] = [
  ["bogus", /unknown command "bogus"/],
  ["--bogus", /unknown option '--bogus'/],
  ["--json bogus", /unknown command "bogus"/],
  ["load --bogus", /unknown option '--bogus'/],
  ["load extra", /too many arguments/],
  ["load --key", /option '--key <key>' argument missing/],
  ["load --report x", /unknown option '--report'/],
  ["list --vllm", /unknown option '--vllm'/],
  ["run", /missing required argument 'command'/],
  ["run --", /missing required argument 'command'/],
  ["run --report", /option '--report <file>' argument missing/],
  ["help bogus", /Usage: b10-compile-cache/],
];

test("wrong usage exits with 64, says so on stderr, and touches nothing", async () => {
  for (const [words, message] of wrongUsages) {
    const { status, stdout, stderr } = await cli(words.split(" "));
    assert.equal(status, 64, words);
    assert.equal(stdout, "", words);
    assert.match(stderr, message, words);
  }
});

test("no word of a wrong command line moves a terminal's cursor or forges a line", async () => {
  const evil = "x\x1b[31m\x9b1m\u202e\nb10-compile-cache: SUCCESS";
  const escaped = "x\\u001b[31m\\u009b1m\\u202e";
  const lines = [
    [`--${evil}`],
    ["load", `--${evil}`],
    [evil],
    ["prune", "--max-age", evil],
    ["load", "--root", evil],
    ["completions", evil],
  ];
  for (const argv of lines) {
    const { status, stdout, stderr } = await cli(argv);
    assert.deepEqual([status, stdout], [64, ""], argv.join(" "));
    assert.ok(stderr.includes(escaped), stderr);
    assert.doesNotMatch(stderr, /[^\P{C}\n]/u, argv.join(" "));
    assert.doesNotMatch(stderr, /^b10-compile-cache: SUCCESS/m, argv.join(" "));
  }
  assert.match(
    (await cli(["load", "--quite"])).stderr,
    /^error: unknown option '--quite'\n\(Did you mean --quiet\?\)\n$/,
  );
});

/** A pod of no files at all, whose settings are read and break a rule. */
function podWithBadSetting(): Partial<System> {
  const absent = () => Promise.reject(Object.assign(new Error("ENOENT"), { code: "ENOENT" }));
  return {
    clock: new FakeClock(),
    env: { MAX_CACHE_SIZE_MB: "lots", USER: "root" },
    host: only<Host>("host", { homeDir: "/root", workingDir: "/app" }),
    fs: only<FileSystem>("fs", { stat: absent }),
  };
}

const rule = 'Cannot use MAX_CACHE_SIZE_MB "lots" as it must be a whole number of at least 1';
const readers = ["load", "save", "list", "clear"];

test("a bad setting is an ERROR of the operation, on stderr, with exit status 1", async () => {
  for (const name of readers) {
    assert.deepEqual(await cli([name], podWithBadSetting()), {
      status: 1,
      stdout: "",
      stderr: `b10-compile-cache: error: ${name} ERROR (bad_setting): ${rule}\n`,
    });
  }
});

test("--json prints exactly one object on stdout, before and after the command's name alike", async () => {
  for (const name of readers) {
    for (const argv of [[name, "--json"], ["--json", name]]) {
      const { status, stdout, stderr } = await cli(argv, podWithBadSetting());
      assert.equal(status, 1);
      assert.equal(stderr, "");
      assert.deepEqual(JSON.parse(stdout), {
        operation: name,
        status: "ERROR",
        code: "bad_setting",
        elapsed_ms: 0,
        message: rule,
      });
    }
  }
});

// deno-lint-ignore no-control-regex
const ansi = /\x1b\[/;

test("errors are coloured on a terminal, unless --no-color stands anywhere or NO_COLOR is set", async () => {
  const pod = podWithBadSetting();
  const uncoloured = { ...pod, env: { ...pod.env, NO_COLOR: "1" } };
  assert.match((await cli(["clear", "--quiet"], pod, true)).stderr, ansi);
  assert.doesNotMatch((await cli(["clear", "--quiet", "--no-color"], pod, true)).stderr, ansi);
  assert.doesNotMatch((await cli(["--no-color", "clear", "--quiet"], pod, true)).stderr, ansi);
  assert.doesNotMatch((await cli(["clear", "--quiet"], uncoloured, true)).stderr, ansi);
  assert.doesNotMatch((await cli(["clear", "--quiet"], pod)).stderr, ansi);
});

test("of an option that stands before and after the command's name, the later one counts", async () => {
  const pod = { ...podWithBadSetting(), env: { USER: "root" } };
  const { stderr } = await cli(["--namespace", "-early", "clear", "--namespace", "-late"], pod);
  assert.match(stderr, /B10_CACHE_NAMESPACE "-late"/);
});

test("what follows run's command is the command's own, options that look like ours included", async () => {
  const started: (readonly string[])[] = [];
  const pod = podWithBadSetting();
  const processes = only<System["processes"]>("processes", {
    onSignals: () => () => {},
    start: (argv) => {
      started.push(argv);
      return Promise.resolve({ pid: 1, exited: Promise.resolve(7), kill: () => {} });
    },
  });
  for (
    const words of [["run", "--", "vllm", "--json"], ["run", "vllm", "--json"], [
      "--quiet",
      "run",
      "vllm",
      "--json",
    ]]
  ) {
    const { status, stdout } = await cli(words, { ...pod, processes });
    assert.equal(status, 7);
    assert.equal(stdout, "");
  }
  assert.deepEqual(started, Array(3).fill(["vllm", "--json"]));
});
