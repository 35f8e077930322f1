import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { type ReportFiles, StartReport } from "../../lib/commands/run_report.ts";
import { prometheusText } from "../../lib/metrics.ts";
import { recordJson, type StartRecord } from "../../lib/start_record.ts";
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
import { nothingKnown } from "../starts.ts";

const load: Report = {
  operation: "load",
  status: "SUCCESS",
  elapsed_ms: 84,
  message: "restored 711 files",
};
const save: Report = { operation: "save", status: "SKIPPED", elapsed_ms: 12, message: "nothing is new" };

const noProblem = (problem: string) => assert.fail(problem);

interface Made {
  readonly operation?: StartRecord["operation"];
  readonly files?: FileSystem;
  readonly onProblem?: (problem: string) => void;
}

function makeReport(
  reportFiles: ReportFiles,
  { operation = "run", files = realFiles, onProblem = noProblem }: Made = {},
): StartReport {
  const system = fakeSystem({ fs: files, clock: new QuickClock(), random: countingRandom() });
  return new StartReport(system, operation, { files: reportFiles, onProblem });
}

/** Runs a test with a place for a report. */
function withFile(act: (file: string, dir: string) => Promise<void>): Promise<void> {
  return withDirectory((dir) => act(path.join(dir, "report.json"), dir));
}

function readJson(file: string): Record<string, unknown> {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

test("a report that knows nothing yet says so, and when the start began", () =>
  withFile(async (file) => {
    await makeReport({ report: file }).note({});
    assert.deepEqual(readJson(file), { ...nothingKnown, started_at: "2020-01-01T00:00:00.000Z" });
    assert.ok(fs.readFileSync(file, "utf8").endsWith("}\n"));
  }));

test("each note adds to what is known, and is in the file at once", () =>
  withFile(async (file) => {
    const report = makeReport({ report: file });
    await report.note({ load });
    assert.deepEqual(readJson(file)["load"], load);
    await report.note({ save, saves: 1 });
    await report.note({ commandStatus: 42 });
    const json = readJson(file);
    assert.deepEqual([json["load"], json["save"], json["saves"], json["command_status"]], [
      load,
      save,
      1,
      42,
    ]);
    assert.deepEqual(json, JSON.parse(JSON.stringify(recordJson(report.record))));
  }));

test("the report, the metrics and the last start are of one record", () =>
  withFile(async (file, dir) => {
    const [metricsFile, lastStart] = [path.join(dir, "cache.prom"), path.join(dir, "last-start.json")];
    const report = makeReport({ report: file, metricsFile }, { operation: "automatic" });
    await report.note({ load });
    assert.deepEqual(fs.readdirSync(dir).sort(), ["cache.prom", "report.json"]);
    report.keepIn(lastStart);
    await report.note({ save, saves: 1 });
    assert.equal(fs.readFileSync(metricsFile, "utf8"), prometheusText(report.record));
    assert.equal(readJson(file)["operation"], "automatic");
    assert.deepEqual(readJson(lastStart), readJson(file));
  }));

test("without a file nothing at all is done", async () => {
  const report = makeReport({}, { files: intercept(realFiles, ({ name }) => assert.fail(name)) });
  await report.note({ load });
  assert.equal(report.record.load, load);
});

test("each file is for all to read, and nothing else is left", () =>
  withFile(async (file, dir) => {
    const metricsFile = path.join(dir, "cache.prom");
    await makeReport({ report: file, metricsFile }).note({});
    assert.deepEqual(fs.readdirSync(dir).sort(), ["cache.prom", "report.json"]);
    for (const each of [file, metricsFile]) assert.equal(fs.statSync(each).mode & 0o7777, 0o644);
  }));

const old = '{"operation":"run","command_status":1}\n';

for (const kind of ["report", "metricsFile"] as const) {
  test(`an older ${kind} is replaced whole: at every moment it is the old one or the new one`, () =>
    withFile(async (file, dir) => {
      const calls = await atEveryCall(async (point) => {
        fs.writeFileSync(file, old);
        const look = point.once(() => assert.equal(fs.readFileSync(file, "utf8"), old));
        await makeReport({ [kind]: file }, { files: intercept(realFiles, look) }).note({ commandStatus: 0 });
        assert.notEqual(fs.readFileSync(file, "utf8"), old);
        assert.deepEqual(fs.readdirSync(dir), ["report.json"]);
      });
      assert.deepEqual(calls, ["createFileSync", "rename"]);
    }));

  test(`a ${kind} that cannot be written is a problem that is told, and the old one stays`, () =>
    withFile(async (file, dir) => {
      for (const [name, code] of [["createFileSync", "ENOSPC"], ["rename", "EACCES"]] as const) {
        fs.writeFileSync(file, old);
        const files = intercept(realFiles, (call) => call.name === name && failWith(code)());
        const problems: string[] = [];
        await makeReport({ [kind]: file }, { files, onProblem: (text) => problems.push(text) }).note({});
        assert.deepEqual(problems, [`Cannot write ${JSON.stringify(file)}: ${code}`]);
        assert.equal(fs.readFileSync(file, "utf8"), old);
        assert.deepEqual(fs.readdirSync(dir), ["report.json"]);
      }
    }));
}

test("a problem is told once for each file, and keeps none of the others from being written", () =>
  withFile(async (file, dir) => {
    const problems: string[] = [];
    const metricsFile = path.join(dir, "absent/cache.prom");
    const report = makeReport({ report: file, metricsFile }, { onProblem: (text) => problems.push(text) });
    report.keepIn(path.join(dir, "nowhere/last-start.json"));
    for (let note = 1; note <= 3; note++) await report.note({ saves: note });
    assert.equal(problems.length, 2);
    assert.equal(readJson(file)["saves"], 3);
    fs.mkdirSync(path.dirname(metricsFile));
    await report.note({ saves: 4 });
    assert.match(fs.readFileSync(metricsFile, "utf8"), /_saves 4\n/);
  }));

test("a report in a directory's place is a problem that is told, and the directory stays", () =>
  withFile(async (file, dir) => {
    fs.mkdirSync(file);
    fs.writeFileSync(path.join(file, "inner"), "");
    const problems: string[] = [];
    await makeReport({ report: file }, { onProblem: (text) => problems.push(text) }).note({});
    assert.equal(problems.length, 1);
    assert.deepEqual(fs.readdirSync(file), ["inner"]);
    assert.deepEqual(fs.readdirSync(dir), ["report.json"]);
  }));
