/**
 * The whole job with a real torch.compile on the CPU: a cold process, save, empty the local cache, load, a warm
 * process. Inductor's own counters are the proof: every graph a hit, none a miss. Exits non-zero otherwise.
 * Takes the Python that B10_TORCH_PYTHON names, else makes one with torch in .cache/torch-venv (about 1 GB).
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import * as v from "valibot";
import { capture } from "./process.ts";
import { expectStatus, operate, type Outcome } from "./program.ts";
import { projectDir } from "./project.ts";
import { formatTable, megabytes, seconds } from "./table.ts";
import { pythonWithTorch } from "./torch_python.ts";

const compileTimeoutMs = 300 * 1000;

const reportSchema = v.object({
  import_s: v.number(),
  compile_s: v.number(),
  inductor: v.object({
    fxgraph_cache_hit: v.optional(v.number(), 0),
    fxgraph_cache_miss: v.optional(v.number(), 0),
    fxgraph_cache_bypass: v.optional(v.number(), 0),
  }),
});

type Report = v.InferOutput<typeof reportSchema>;

/** Compiles a small Llama for three lengths in a process of its own. */
async function compileModel(python: string, torchDir: string): Promise<Report> {
  const { code, stdout, stderr } = await capture([
    python,
    path.join(projectDir, "scripts", "compile_llama.py"),
  ], {
    timeoutMs: compileTimeoutMs,
    env: { ...process.env, TORCHINDUCTOR_CACHE_DIR: torchDir },
  });
  if (code !== 0) {
    throw new Error(`Cannot compile the model as ${python} ended with exit status ${code}: ${stderr}`);
  }
  return v.parse(reportSchema, JSON.parse(stdout.trim().split("\n").at(-1) ?? ""));
}

function printTable(cold: Report, warm: Report, outcomes: readonly Outcome[]): void {
  const operations = outcomes.map((outcome) => [
    outcome.operation,
    outcome.status,
    String(outcome.files),
    megabytes(outcome.bytes),
    megabytes(outcome.stored_bytes),
    seconds(outcome.processMs),
  ]);
  console.log(formatTable(["", "status", "files", "size", "stored", "seconds"], operations));
  const processes = Object.entries({ cold, warm }).map(([name, report]) => [
    `${name} process`,
    String(report.inductor.fxgraph_cache_hit),
    String(report.inductor.fxgraph_cache_miss),
    `${report.import_s.toFixed(1)} s`,
    `${report.compile_s.toFixed(1)} s`,
  ]);
  console.log(
    `\n${formatTable(["", "fxgraph_cache_hit", "fxgraph_cache_miss", "import", "compile"], processes)}`,
  );
}

function checkProof(cold: Report, warm: Report): void {
  const graphs = cold.inductor.fxgraph_cache_miss;
  const { fxgraph_cache_hit: hits, fxgraph_cache_miss: misses, fxgraph_cache_bypass: bypassed } =
    warm.inductor;
  if (graphs === 0 || hits !== graphs || misses !== 0 || bypassed !== 0) {
    throw new Error(
      `The warm process hit ${hits} of ${graphs} graphs, missed ${misses} and bypassed ${bypassed}`,
    );
  }
  console.log(`\nAll ${graphs} graphs came from the restored cache, none was compiled again.`);
}

async function play(base: string): Promise<void> {
  const python = await pythonWithTorch();
  const torchDir = path.join(base, "torchinductor");
  const settings = {
    HOME: path.join(base, "home"),
    TORCHINDUCTOR_CACHE_DIR: torchDir,
    LOCAL_WORK_DIR: path.join(base, "work"),
    B10FS_CACHE_DIR: path.join(base, "share", "compile_cache"),
    B10_CACHE_ALLOWED_PREFIXES: base,
  };
  fs.mkdirSync(path.join(base, "share"));
  // Both ways of naming the pod's Python lead to one key.
  const byVariable = { ...settings, B10_CACHE_PYTHON: python };
  const byPath = { ...settings, PATH: `${path.dirname(python)}:${process.env["PATH"] ?? ""}` };

  const cold = await compileModel(python, torchDir);
  const saved = await operate("save", byVariable);
  expectStatus(saved, "SUCCESS");
  const cleared = await operate("clear", byVariable);
  expectStatus(cleared, "SUCCESS");
  const left = fs.existsSync(torchDir) ? fs.readdirSync(torchDir) : [];
  if (left.length > 0) throw new Error(`The local cache still holds ${left.join(", ")} after clear`);
  const loaded = await operate("load", byPath);
  expectStatus(loaded, "SUCCESS");
  if (loaded.key !== saved.key) throw new Error(`The keys differ: ${saved.key} saved, ${loaded.key} loaded`);
  const warm = await compileModel(python, torchDir);

  printTable(cold, warm, [saved, cleared, loaded]);
  checkProof(cold, warm);
}

const base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "b10-demo-torch-")));
try {
  await play(base);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  fs.rmSync(base, { recursive: true });
}
