/**
 * examples/truss/image-model with a real torch on the CPU: a cold replica compiles and saves, the next one restores and
 * compiles nothing; Inductor's own counters are the proof. `deno task test:truss`.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import * as v from "valibot";
import { capture } from "../../scripts/process.ts";
import { binary, projectDir } from "../../scripts/project.ts";
import { formatTable } from "../../scripts/table.ts";
import { pythonWithTorch } from "../../scripts/torch_python.ts";

const model = path.join(projectDir, "examples", "truss", "image-model", "model");
const driver = path.join(projectDir, "tests", "interop", "truss_driver.py");
const packages = path.join(projectDir, "python", "src");
const timeoutMs = 300_000;

const reportSchema = v.object({
  import_s: v.number(),
  load_s: v.number(),
  hits: v.number(),
  misses: v.number(),
  last: v.tuple([v.string(), v.string()]),
  files: v.number(),
  shape: v.array(v.number()),
});

type Report = v.InferOutput<typeof reportSchema>;

/** Starts one replica in a process of its own, with a home and a cache directory of its own. */
async function startReplica(base: string, name: string): Promise<Report> {
  const dir = path.join(base, name);
  const workDir = path.join(dir, "work");
  fs.mkdirSync(workDir, { recursive: true });
  const finished = await capture([await pythonWithTorch(), driver, model], {
    timeoutMs,
    env: {
      PATH: `${path.dirname(binary)}:${process.env["PATH"] ?? "/usr/bin:/bin"}`,
      HOME: dir,
      PYTHONPATH: packages,
      TORCHINDUCTOR_CACHE_DIR: path.join(dir, "torchinductor"),
      B10FS_CACHE_DIR: path.join(base, "share", "compile_cache"),
      LOCAL_WORK_DIR: workDir,
    },
  });
  assert.equal(finished.code, 0, finished.stderr);
  return v.parse(reportSchema, JSON.parse(finished.stdout.trim().split("\n").at(-1) ?? ""));
}

test("the first replica compiles and saves; the next one restores, compiles nothing and does not save", {
  timeout: 2 * timeoutMs,
}, async () => {
  const base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "b10-truss-")));
  try {
    fs.mkdirSync(path.join(base, "share"));
    const cold = await startReplica(base, "cold");
    const warm = await startReplica(base, "warm");
    const rows = Object.entries({ cold, warm }).map(([name, report]) => [
      name,
      String(report.hits),
      String(report.misses),
      `${report.import_s.toFixed(1)} s`,
      `${report.load_s.toFixed(1)} s`,
      report.last.join(" "),
    ]);
    console.log(formatTable(["replica", "hits", "misses", "import", "Model.load()", "last operation"], rows));
    assert.deepEqual(cold.last, ["save", "SUCCESS"]);
    assert.deepEqual([cold.hits, cold.misses], [0, 2]);
    assert.deepEqual(warm.last, ["load", "SUCCESS"]);
    assert.deepEqual([warm.hits, warm.misses], [2, 0]);
    assert.equal(warm.files, cold.files);
    assert.deepEqual(warm.shape, [1, 3, 64]);
  } finally {
    fs.rmSync(base, { recursive: true });
  }
});
