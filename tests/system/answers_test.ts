import assert from "node:assert/strict";
import { test } from "node:test";
import type { CapturedRun, Processes } from "../../lib/system.ts";
import { askOnce } from "../../lib/system/answers.ts";
import { only } from "../fake_system.ts";

const options = { timeoutMs: 1_000 };

function saying(stdout: string): CapturedRun {
  return { code: 0, timedOut: false, stdout, stderr: "" };
}

test("what was answered outside stands: the command is not started again", async () => {
  const processes = askOnce(only<Processes>("processes", {}), [
    { argv: ["nvidia-smi", "-L"], run: saying("one") },
  ]);
  assert.deepEqual(await processes.capture(["nvidia-smi", "-L"], options), saying("one"));
  await assert.rejects(async () => await processes.capture(["nvidia-smi"], options), /capture/);
});

test("in one process a command is started as often as it is asked, and its newest answer is handed on", async () => {
  let starts = 0;
  const capture = () => Promise.resolve(saying(`${++starts}`));
  const processes = askOnce(only<Processes>("processes", { capture }), []);
  await processes.capture(["python3", "-c", "1"], options);
  assert.deepEqual(await processes.capture(["python3", "-c", "1"], options), saying("2"));
  assert.deepEqual(processes.answers(), [{ argv: ["python3", "-c", "1"], run: saying("2") }]);
});
