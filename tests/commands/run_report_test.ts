import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { RunReport } from "../../lib/commands/run_report.ts";
import type { Report } from "../../lib/status.ts";
import type { FileSystem } from "../../lib/system.ts";
import { fakeSystem } from "../fake_system.ts";
import {
  atEveryCall,
  countingRandom,
  failWith,
  intercept,
  QuickClock,
  realFiles,
  withDirectory,
} from "../pods.ts";

const loaded: Report = {
  operation: "load",
  status: "SUCCESS",
  elapsed_ms: 84,
  message: "restored 711 files",
};
const saved: Report = { operation: "save", status: "SKIPPED", elapsed_ms: 12, message: "nothing is new" };

function makeReport(file: string | undefined, files: FileSystem = realFiles): RunReport {
  return new RunReport(fakeSystem({ fs: files, clock: new QuickClock(), random: countingRandom() }), file);
}

const noProblem = (problem: string) => assert.fail(problem);

/** Runs a test with a place for a report. */
function withFile(act: (file: string, dir: string) => Promise<void>): Promise<void> {
  return withDirectory((dir) => act(path.join(dir, "report.json"), dir));
}

function readJson(file: string): unknown {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

test("a report that knows nothing yet says so", () =>
  withFile(async (file) => {
    await makeReport(file).write(noProblem);
    assert.equal(
      fs.readFileSync(file, "utf8"),
      '{"operation":"run","load":null,"save":null,"command_status":null}\n',
    );
  }));

test("the report is what was loaded, what was saved, and the status of COMMAND", () =>
  withFile(async (file) => {
    const report = makeReport(file);
    report.loaded(loaded);
    report.saved(saved);
    report.ended(42);
    await report.write(noProblem);
    assert.deepEqual(readJson(file), { operation: "run", load: loaded, save: saved, command_status: 42 });
  }));

test("isSaving is true from the beginning of a save to its end", () => {
  const report = makeReport(undefined);
  assert.equal(report.isSaving, false);
  report.loaded(loaded);
  assert.equal(report.isSaving, false);
  report.beginSave();
  assert.equal(report.isSaving, true);
  report.saved(saved);
  assert.equal(report.isSaving, false);
});

test("without a file nothing at all is done", async () => {
  const report = makeReport(undefined, intercept(realFiles, ({ name }) => assert.fail(name)));
  report.loaded(loaded);
  await report.write(noProblem);
});

test("the report is for all to read, and the only file that is left", () =>
  withFile(async (file, dir) => {
    await makeReport(file).write(noProblem);
    assert.deepEqual(fs.readdirSync(dir), ["report.json"]);
    assert.equal(fs.statSync(file).mode & 0o7777, 0o644);
  }));

const old = '{"operation":"run","command_status":1}\n';

test("an older report is replaced whole: at every moment the file is the old one or the new one", () =>
  withFile(async (file, dir) => {
    const calls = await atEveryCall(async (point) => {
      fs.writeFileSync(file, old);
      const look = point.once(() => assert.equal(fs.readFileSync(file, "utf8"), old));
      const report = makeReport(file, intercept(realFiles, look));
      report.ended(0);
      await report.write(noProblem);
      assert.deepEqual(readJson(file), { operation: "run", load: null, save: null, command_status: 0 });
      assert.deepEqual(fs.readdirSync(dir), ["report.json"]);
    });
    assert.deepEqual(calls, ["createFileSync", "rename"]);
  }));

test("a report that cannot be written is a problem that is told, and the old one stays", () =>
  withFile(async (file, dir) => {
    for (const [name, code] of [["createFileSync", "ENOSPC"], ["rename", "EACCES"]] as const) {
      fs.writeFileSync(file, old);
      const failing = intercept(realFiles, (call) => call.name === name && failWith(code)());
      const problems: string[] = [];
      await makeReport(file, failing).write((problem) => problems.push(problem));
      assert.deepEqual(problems, [`Cannot write the report ${JSON.stringify(file)}: ${code}`]);
      assert.equal(fs.readFileSync(file, "utf8"), old);
      assert.deepEqual(fs.readdirSync(dir), ["report.json"]);
    }
  }));

test("a report into a directory that is not there, or in a directory's place, is a problem that is told", () =>
  withFile(async (file, dir) => {
    fs.mkdirSync(file);
    fs.writeFileSync(path.join(file, "inner"), "");
    for (const place of [path.join(dir, "absent/report.json"), file]) {
      const problems: string[] = [];
      await makeReport(place).write((problem) => problems.push(problem));
      assert.equal(problems.length, 1, place);
    }
    assert.deepEqual(fs.readdirSync(file), ["inner"]);
    assert.deepEqual(fs.readdirSync(dir), ["report.json"]);
  }));
