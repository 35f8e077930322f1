import assert from "node:assert/strict";
import { test } from "node:test";
import type { Environment } from "../lib/environment.ts";
import { CacheError } from "../lib/errors.ts";
import type { LoadOutcome, SaveOutcome } from "../lib/operation.ts";
import {
  describeEnvironment,
  exitStatus,
  exitStatusOf,
  type Report,
  reportError,
  reportOutcome,
  reportText,
  type Status,
} from "../lib/status.ts";

const totals = { files: 711, bytes: 38_245_041, storedBytes: 2_011_334 };

interface Example {
  readonly operation: "load" | "save";
  readonly outcome: LoadOutcome | SaveOutcome;
  readonly json: string;
  readonly text: string;
}

const examples: readonly Example[] = [
  {
    operation: "load",
    outcome: { status: "SUCCESS", generation: 4, totals },
    json:
      '{"operation":"load","status":"SUCCESS","key":"3f","generation":4,"files":711,"bytes":38245041,"stored_bytes":2011334,"elapsed_ms":84,"message":"restored 711 files, 38.2 MB, in 84 ms; generation 4"}',
    text: "load SUCCESS: restored 711 files, 38.2 MB, in 84 ms; generation 4",
  },
  {
    operation: "load",
    outcome: { status: "SKIPPED", generation: 4, reason: "everything is here already" },
    json:
      '{"operation":"load","status":"SKIPPED","key":"3f","generation":4,"files":0,"bytes":0,"stored_bytes":0,"elapsed_ms":84,"message":"everything is here already"}',
    text: "load SKIPPED: everything is here already",
  },
  {
    operation: "load",
    outcome: { status: "DOES_NOT_EXIST", reason: "no cache for this environment" },
    json:
      '{"operation":"load","status":"DOES_NOT_EXIST","key":"3f","files":0,"bytes":0,"stored_bytes":0,"elapsed_ms":84,"message":"no cache for this environment"}',
    text: "load DOES_NOT_EXIST: no cache for this environment",
  },
  {
    operation: "save",
    outcome: { status: "SUCCESS", generation: 1, totals: { files: 1, bytes: 10, storedBytes: 20 } },
    json:
      '{"operation":"save","status":"SUCCESS","key":"3f","generation":1,"files":1,"bytes":10,"stored_bytes":20,"elapsed_ms":84,"message":"saved 1 file, 10 B, in 84 ms; generation 1"}',
    text: "save SUCCESS: saved 1 file, 10 B, in 84 ms; generation 1",
  },
  {
    operation: "save",
    outcome: { status: "SKIPPED", reason: "there is nothing to save" },
    json:
      '{"operation":"save","status":"SKIPPED","key":"3f","files":0,"bytes":0,"stored_bytes":0,"elapsed_ms":84,"message":"there is nothing to save"}',
    text: "save SKIPPED: there is nothing to save",
  },
];

test("each outcome has its JSON and its line of text", () => {
  for (const { operation, outcome, json, text } of examples) {
    const report = reportOutcome(outcome, { operation, key: "3f", elapsedMs: 84.3 });
    assert.equal(JSON.stringify(report), json);
    assert.equal(reportText(report), text);
  }
});

test("an ERROR has its code, its message, and whole milliseconds", () => {
  const error = new CacheError("store_not_mounted", "Cannot use B10FS_CACHE_DIR");
  const report = reportError(error, { operation: "load", elapsedMs: 1.6, key: "3f" });
  assert.equal(
    JSON.stringify(report),
    '{"operation":"load","status":"ERROR","code":"store_not_mounted","key":"3f","elapsed_ms":2,"message":"Cannot use B10FS_CACHE_DIR"}',
  );
  assert.equal(reportText(report), "load ERROR (store_not_mounted): Cannot use B10FS_CACHE_DIR");
});

test("whatever is thrown that is no CacheError is a defect: code internal", () => {
  for (const [thrown, message] of [[new TypeError("x is undefined"), "x is undefined"], ["text", "text"]]) {
    const report = reportError(thrown, { operation: "save", elapsedMs: 0 });
    assert.deepEqual(report, {
      operation: "save",
      status: "ERROR",
      code: "internal",
      elapsed_ms: 0,
      message,
    });
  }
});

test("a report before the key is known has none", () => {
  const about = { operation: "load", elapsedMs: 0 };
  assert.ok(!("key" in reportError(new Error("early"), about)));
  assert.ok(!("key" in reportOutcome({ status: "DOES_NOT_EXIST", reason: "none" }, about)));
});

test("exit statuses are the documented ones", () => {
  assert.deepEqual(exitStatus, {
    ok: 0,
    error: 1,
    serverNotReady: 2,
    saveFailed: 3,
    miss: 4,
    usage: 64,
    notExecutable: 126,
    notFound: 127,
    hungUp: 129,
    interrupted: 130,
    quit: 131,
    terminated: 143,
  });
});

const exitStatuses: readonly { status: Status; usually: number; failOnMiss: number }[] = [
  { status: "SUCCESS", usually: 0, failOnMiss: 0 },
  { status: "SKIPPED", usually: 0, failOnMiss: 0 },
  { status: "DOES_NOT_EXIST", usually: 0, failOnMiss: 4 },
  { status: "ERROR", usually: 1, failOnMiss: 1 },
];

test("each status has its exit status, and --fail-on-miss is about DOES_NOT_EXIST alone", () => {
  for (const { status, usually, failOnMiss } of exitStatuses) {
    const report: Report = { operation: "load", status, elapsed_ms: 0, message: "" };
    assert.equal(exitStatusOf(report, { failOnMiss: false }), usually);
    assert.equal(exitStatusOf(report, { failOnMiss: true }), failOnMiss);
  }
});

const h100: Environment = {
  accelerator: "cuda",
  devices: ["NVIDIA H100 80GB HBM3"],
  cuda: "13.0",
  rocm: null,
  torch: "2.11.0",
  triton: "3.6.0",
  vllm: null,
  python: "3.12",
  machine: "x86_64",
  cpu_isa: null,
};

const described: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ ...h100 }, "NVIDIA H100 80GB HBM3, CUDA 13.0, torch 2.11.0, Triton 3.6.0, Python 3.12, x86_64"],
  [
    { ...h100, devices: ["A", "B"], cuda: null, rocm: "6.4", vllm: "0.32.0" },
    "A + B, ROCm 6.4, torch 2.11.0, Triton 3.6.0, vLLM 0.32.0, Python 3.12, x86_64",
  ],
  [
    { ...h100, accelerator: "cpu", devices: [], cuda: null, triton: null, cpu_isa: "avx2:0123456789ab" },
    "CPU, torch 2.11.0, Python 3.12, x86_64 avx2:0123456789ab",
  ],
  // A manifest is from outside: facts that are missing, of another type, or made to fool a terminal.
  [{ torch: 2, devices: "H100", machine: "arm64" }, "CPU, arm64"],
  [{ devices: ["\x1b[2J\nfake"], machine: "\u202egnp" }, "\\u001b[2J\\u000afake, \\u202egnp"],
];

test("describeEnvironment() puts an environment into words, on one line", () => {
  for (const [environment, words] of described) assert.equal(describeEnvironment(environment), words);
});
