import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, printReport } from "../../lib/commands/context.ts";
import { StartReport } from "../../lib/commands/run_report.ts";
import type { Report } from "../../lib/status.ts";
import type { Stdio } from "../../lib/system.ts";
import { fakeSystem, only } from "../fake_system.ts";
import { FakeWorld } from "./fake_world.ts";
import { reportFile } from "./running.ts";

const report: Report = {
  operation: "list",
  status: "SUCCESS",
  elapsed_ms: 1,
  message: "a \x9b31m name\u202e\u2028",
  caches: [{ "name\u009b": "value\u2066" }],
};
const unseen = /[^\P{C}\n]|\p{Z}(?<! )/u;

test("--json prints one line that shows all and moves no cursor, and parses to the report", async () => {
  let said = "";
  const stdio = only<Stdio>("stdio", { stderrIsTerminal: false, stdout: (text) => void (said += text) });
  printReport(await createContext(fakeSystem({ stdio }), { json: true }), report);
  assert.doesNotMatch(said, unseen);
  assert.equal(said.indexOf("\n"), said.length - 1);
  assert.deepEqual(JSON.parse(said), report);
});

test("so does the file of --report", async () => {
  const world = new FakeWorld({});
  const { system } = await world.context();
  const start = new StartReport(system, "run", { files: { report: reportFile }, onProblem: assert.fail });
  await start.note({ load: report });
  assert.doesNotMatch(world.written.get(reportFile) ?? "", unseen);
  assert.deepEqual(world.readJson(reportFile)["load"], report);
});
