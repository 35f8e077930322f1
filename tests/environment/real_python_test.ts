/** Against interpreters that are really there: B10_TORCH_PYTHON names one that has torch. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { detectCpu, parseCpuFlags, pickLevel } from "../../lib/environment/cpu.ts";
import { ask, readFiles } from "../../lib/environment/python.ts";
import { findProgram } from "../../lib/environment/search_path.ts";
import { detectEnvironment } from "../../lib/environment.ts";
import { realSystem } from "../../lib/system/real.ts";

const system = realSystem();
const torchPython = process.env["B10_TORCH_PYTHON"];
const needsTorch = {
  skip: torchPython ? false : "B10_TORCH_PYTHON names no Python that has torch",
  // torch is imported, and its C++ compiled: Bun ends a test after 5 s otherwise.
  timeout: 120_000,
};
const python3 = await findProgram(system, "python3");
const needsPython = { skip: python3 === undefined ? "there is no python3 on PATH" : false };

async function answerOf(script: string, env: Record<string, string> = {}): Promise<string> {
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const argv = ["env", ...assignments, torchPython ?? "", "-c", script];
  const run = await system.processes.capture(argv, { timeoutMs: 120_000 });
  assert.equal(run.code, 0, run.stderr);
  return run.stdout.trim();
}

test("asking the python3 on PATH finds its version, whatever it is", needsPython, async () => {
  const report = await ask(system, { path: python3 ?? "", source: "a test", configured: true });
  assert.match(report.version ?? "", /^3\.\d+t?$/);
});

test("reading the files and asking the interpreter agree", needsTorch, async () => {
  const read = await readFiles(system, torchPython ?? "");
  const asked = await ask(system, { path: torchPython ?? "", source: "a test", configured: true });
  assert.ok(read, "the layout of B10_TORCH_PYTHON is not plain");
  assert.deepEqual({ ...read, way: "" }, { ...asked, way: "" });
});

test(
  "a virtual environment's link elsewhere reaches the interpreter's own packages alone",
  needsTorch,
  async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "environment-"));
    try {
      const link = path.join(dir, "python");
      // Deno creates symlinks only under unscoped permissions.
      const { code } = await system.processes.capture(["ln", "-s", torchPython ?? "", link], {
        timeoutMs: 5_000,
      });
      assert.equal(code, 0);
      const read = await readFiles(system, link);
      const asked = await ask(system, { path: link, source: "a test", configured: true });
      if (read) assert.deepEqual({ ...read, way: "" }, { ...asked, way: "" });
      assert.equal(asked.packages.torch, undefined);
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  },
);

test("detectEnvironment() says of torch what torch says of itself", needsTorch, async () => {
  const script =
    "import torch, platform, json; print(json.dumps([torch.__version__, torch.version.cuda, torch.version.hip, '.'.join(platform.python_version_tuple()[:2]), platform.machine()]))";
  const { environment } = await detectEnvironment(system, torchPython ? { python: torchPython } : {});
  const { torch, cuda, rocm, python, machine } = environment;
  assert.deepEqual([torch, cuda, rocm, python, machine], JSON.parse(await answerOf(script)));
});

test(
  "pickLevel() is the level that Inductor picks, with and without ATEN_CPU_CAPABILITY",
  needsTorch,
  async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "environment-"));
    try {
      const script = `
from torch._inductor import cpu_vec_isa as isa
valid = isa.valid_vec_isa_list()
for capability in (None, "default", "avx2", "avx512", "nonsense"):
    print(isa.get_isa_from_cpu_capability(capability, valid, isa.invalid_vec_isa))
assert isa.pick_vec_isa() == isa.get_isa_from_cpu_capability(None, valid, isa.invalid_vec_isa)
`;
      const picked = (await answerOf(script, { TORCHINDUCTOR_CACHE_DIR: dir })).split("\n").map(inOurWords);
      const machine = system.host.machine;
      const flags = parseCpuFlags(system.host.kernelFile("/proc/cpuinfo") ?? "", machine);
      const levels = [undefined, "default", "avx2", "avx512", "nonsense"]
        .map((capability) => pickLevel({ machine, flags, sveBytes: 0, capability }));
      assert.deepEqual(levels.map((level) => level.replace(/^sve0$/, "neon")), picked);
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  },
);

/** torch prints every instruction set that a level needs. */
function inOurWords(torchLevel: string): string {
  if (torchLevel === "INVALID_VEC_ISA") return "default";
  if (torchLevel.includes("amx_tile")) return "amx";
  if (torchLevel.includes("avx512_vnni")) return "avx512_vnni";
  return torchLevel === "asimd" ? "neon" : torchLevel;
}

test(
  "this machine's CPU has a name",
  { skip: system.host.platform === "linux" ? false : "not Linux" },
  () => {
    assert.match(detectCpu(system).isa, /^[a-z0-9_]+:[0-9a-f]{12}$/);
  },
);
