import assert from "node:assert/strict";
import { test } from "node:test";
import { type ChildOperation, runChild } from "../../lib/commands/child_operation.ts";
import type { CommonFlags } from "../../lib/commands/context.ts";
import { CacheError } from "../../lib/errors.ts";
import type { Report } from "../../lib/status.ts";
import { type ChildPlan, FakeWorld, gently, reportLine } from "./fake_world.ts";

const running = new AbortController().signal;

const loading: ChildOperation = { operation: "load", timeoutMs: 60_000, signal: running };

/** Lets a child load that does as `plan` says. */
async function runLoad(plan: ChildPlan, flags: CommonFlags = {}, child = loading) {
  const world = new FakeWorld({ load: plan, flags });
  const context = await world.context();
  const report = await world.clock.run(runChild(context, child));
  assert.equal(world.clock.sleeping, 0);
  return { world, report, call: world.captured[0] ?? assert.fail("no child was started") };
}

const full: Report = {
  operation: "load",
  status: "SUCCESS",
  key: "3f",
  generation: 4,
  files: 711,
  bytes: 38_245_041,
  stored_bytes: 2_011_334,
  elapsed_ms: 84,
  message: "restored 711 files",
};

test("the report is what the child printed, with every field", async () => {
  const { report } = await runLoad({ stdout: `${JSON.stringify(full)}\n` });
  assert.deepEqual(report, full);
});

test("the report is the last line of what the child printed", async () => {
  for (const before of ["", "a warning of the runtime\n", '{"status":"SKIPPED"}\n\n']) {
    for (const after of ["", "\n", "\n\n  \n"]) {
      const { report } = await runLoad({ stdout: `${before}${JSON.stringify(full)}${after}` });
      assert.deepEqual(report, full);
    }
  }
});

test("a child that says ERROR, with whatever exit status, is heard", async () => {
  const error: Partial<Report> = { status: "ERROR", code: "store_io", message: "the share failed" };
  for (const code of [0, 1, 137]) {
    const { report } = await runLoad({ stdout: reportLine(error), code });
    assert.deepEqual(report, { operation: "load", elapsed_ms: 84, ...error });
  }
});

const rubbish: readonly string[] = [
  "",
  "\n",
  "Segmentation fault",
  "{}",
  "null",
  "[]",
  "42",
  '"SUCCESS"',
  `${JSON.stringify(full)}\nand then it crashed`,
  JSON.stringify(full).slice(0, -1),
  JSON.stringify({ ...full, status: "FINE" }),
  JSON.stringify({ ...full, status: undefined }),
  JSON.stringify({ ...full, operation: 1 }),
  JSON.stringify({ ...full, message: null }),
  JSON.stringify({ ...full, elapsed_ms: "84" }),
];

test("rubbish from a child is an ERROR that names its exit status", async () => {
  for (const stdout of rubbish) {
    const { report } = await runLoad({ stdout, code: 139, afterMs: 1_234 });
    assert.deepEqual(report, {
      operation: "load",
      status: "ERROR",
      code: "internal",
      elapsed_ms: 1_234,
      message: "the program ended with status 139 and without a result",
    }, stdout);
  }
});

test("a child that hangs is left behind 10 s after its own deadline: an ERROR of code deadline", async () => {
  const { report, world } = await runLoad({ hangs: true, deaf: true });
  assert.deepEqual(report, {
    operation: "load",
    status: "ERROR",
    code: "deadline",
    elapsed_ms: 70_000,
    message: "the load hung and was left behind after 60 s",
  });
  assert.equal(world.clock.monotonicMs(), 70_000);
});

test("a child that keeps to its own deadline is waited for", async () => {
  const stdout = reportLine({ status: "ERROR", code: "deadline" });
  const { report } = await runLoad({ stdout, afterMs: 65_000, code: 1 });
  assert.equal(report.message, "well");
});

test("a program that cannot be started is an ERROR, and nothing is thrown", async () => {
  const { report } = await runLoad({ fails: "ENOMEM" });
  assert.deepEqual(report, {
    operation: "load",
    status: "ERROR",
    code: "internal",
    elapsed_ms: 0,
    message: "spawn ENOMEM",
  });
});

test("an abort reaches the child, whose last words are the report", async () => {
  const controller = new AbortController();
  const world = new FakeWorld({ load: { hangs: true } });
  const context = await world.context();
  const ending = runChild(context, { ...loading, signal: controller.signal });
  await world.clock.advance(2_000);
  controller.abort(new Error("enough"));
  const report = await world.clock.run(ending);
  assert.deepEqual([report.status, report.code], ["ERROR", "interrupted"]);
  assert.equal(world.clock.monotonicMs(), 2_000);
});

test("an abort that a stuck child does not hear: it is left behind 7 s later, and the abort is the report", async () => {
  const controller = new AbortController();
  const world = new FakeWorld({ load: { hangs: true, deaf: true } });
  const context = await world.context();
  const ending = runChild(context, { ...loading, signal: controller.signal });
  await world.clock.advance(2_000);
  controller.abort(new CacheError("interrupted", "interrupted by SIGINT"));
  const report = await world.clock.run(ending);
  assert.deepEqual([report.status, report.code, report.message], [
    "ERROR",
    "interrupted",
    "interrupted by SIGINT",
  ]);
  assert.equal(world.clock.monotonicMs(), 9_000);
});

const argumentsOf: readonly (readonly [CommonFlags, Partial<ChildOperation>, string])[] = [
  [{}, {}, "load --json"],
  [{}, { operation: "save" }, "save --json"],
  [{ json: true, failOnMiss: true }, {}, "load --json"],
  [{ quiet: true }, {}, "load --json --quiet"],
  [{ verbose: true }, {}, "load --json --verbose"],
  [{ color: true }, {}, "load --json"],
  [{ color: false }, {}, "load --json --no-color"],
  [{ key: "k", namespace: "n" }, {}, "load --json --key k --namespace n"],
  [{ readOnly: true }, { operation: "save" }, "save --json --read-only"],
  [{}, { forCommand: "vllm" }, "load --json --for-command vllm"],
  [
    { key: "k" },
    { options: ["--all-roots", "--root", "x=/tmp/x"] },
    "load --json --all-roots --root x=/tmp/x --key k",
  ],
  [{}, { operation: "suspect", options: ["--content", "c0"] }, "suspect --json --content c0"],
  [{}, { operation: "clear" }, "clear --json"],
];

test("the child is this program again, with the flags that change what it does", async () => {
  for (const [flags, child, words] of argumentsOf) {
    const { call } = await runLoad({}, flags, { ...loading, ...child });
    assert.deepEqual(call.argv, ["/usr/bin/b10-compile-cache", ...words.split(" ")]);
  }
});

test("the child gets its deadline and 10 s more, the signal, and this program's stderr", async () => {
  const { call } = await runLoad({}, {}, { ...loading, operation: "save", timeoutMs: 600_000 });
  assert.equal(call.timeoutMs, 610_000);
  assert.equal(call.signal, running);
  assert.equal(call.stderr, "inherit");
});

/** Lets a child save at low priority on a pod without these programs. */
async function saveGently(missingTools: readonly string[], save: ChildPlan = {}) {
  const world = new FakeWorld({ save, missingTools });
  const context = await world.context();
  const child: ChildOperation = { ...loading, operation: "save", priority: "low" };
  const report = await world.clock.run(runChild(context, child));
  return { report, argvs: world.captured.map(({ argv }) => argv.join(" ")) };
}

test("a child of low priority gets the least of the disk and the CPU, and where there is no shell it is started as it is", async () => {
  const self = "/usr/bin/b10-compile-cache save --json";
  const pods: readonly (readonly [missing: readonly string[], argv: string])[] = [
    [[], `${gently} ${self}`],
    [["sh"], self],
  ];
  for (const [missing, argv] of pods) {
    const { report, argvs } = await saveGently(missing);
    assert.deepEqual(argvs, [argv]);
    assert.equal(report.status, "SUCCESS");
  }
});

test("a child of low priority is started once, whatever it fails with", async () => {
  for (const fails of ["EAGAIN", "ENOMEM", "EACCES"]) {
    const { report, argvs } = await saveGently([], { fails });
    assert.equal(argvs.length, 1);
    assert.deepEqual([report.status, report.message], ["ERROR", `spawn ${fails}`]);
  }
});

test("where neither a shell nor the program can be found that is the report, after each was tried", async () => {
  const { report, argvs } = await saveGently(["sh"], { fails: "ENOENT" });
  assert.equal(argvs.length, 1);
  assert.deepEqual([report.status, report.code, report.message], ["ERROR", "internal", "spawn ENOENT"]);
});

test("a child of no low priority is started as it is", async () => {
  const { call } = await runLoad({});
  assert.equal(call.argv[0], "/usr/bin/b10-compile-cache");
});
