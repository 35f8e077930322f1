import assert from "node:assert/strict";
import { test } from "node:test";
import type { Environment } from "../../lib/environment.ts";
import { archiveKey, archiveName } from "../../lib/foreign/archive_name.ts";
import { foreignKey } from "../../lib/foreign/key.ts";

const cpu: Environment = {
  accelerator: "cpu",
  devices: [],
  cuda: null,
  rocm: null,
  torch: "2.13.0",
  triton: null,
  vllm: null,
  python: "3.12",
  machine: "x86_64",
  cpu_isa: "avx512",
};

function gpu(device: string, cuda: string): Environment {
  return { ...cpu, accelerator: "cuda", devices: [device], cuda, cpu_isa: null };
}

function keyOf(environment: Environment, platform = "linux"): string {
  const found = foreignKey(environment, platform);
  return "key" in found ? found.key : assert.fail(found.problem);
}

// Of b10-transfer 0.4.1, run on such machines.
const known: readonly (readonly [what: string, environment: Environment, key: string])[] = [
  ["an H100 with CUDA 12.8", gpu("NVIDIA H100 80GB HBM3", "12.8"), "3b20c534a035fa77"],
  ["an H200 with CUDA 12.8", gpu("NVIDIA H200", "12.8"), "49c043cea0a72e14"],
  ["an L4 with CUDA 12.4", gpu("NVIDIA L4", "12.4"), "026ff5ff56710e90"],
  ["a CPU", cpu, "436c59e667a63097"],
];

for (const [what, environment, key] of known) {
  test(`b10-transfer's key of ${what} is ${key}`, () => assert.equal(keyOf(environment), key));
}

test("versions, Python and instruction set are not in b10-transfer's key", () => {
  const other = { ...cpu, torch: "2.12.0", triton: "3.6.0", vllm: "0.32.0", python: "3.11", cpu_isa: "avx2" };
  assert.equal(keyOf(other), keyOf(cpu));
});

test("machine and platform are in it, as Python says them", () => {
  const keys = [keyOf(cpu), keyOf({ ...cpu, machine: "aarch64" }), keyOf(cpu, "darwin"), keyOf(cpu, "other")];
  assert.equal(new Set(keys).size, keys.length);
});

test("with ROCm the CUDA version is null and the name has no compile target", () => {
  const rocm: Environment = {
    ...cpu,
    accelerator: "rocm",
    devices: ["gfx942 AMD Instinct MI300X"],
    rocm: "6.4",
  };
  // By Python: json.dumps({"cuda_version": None, "device_name": "AMD Instinct MI300X"}, sort_keys=True)
  assert.equal(keyOf(rocm), "1e6549c1adad455b");
  assert.notEqual(keyOf(rocm), keyOf({ ...rocm, accelerator: "cuda", cuda: "12.8" }));
});

test("a name that is not ASCII is escaped as Python's json.dumps does it", () => {
  assert.equal(keyOf(gpu("NVIDIA Größe \u2028 \u{1f600} \x7f", "12.8")), "1b6d2209bbde785a");
});

test("without torch, and with several kinds of GPUs, there is none, and a sentence says why", () => {
  assert.deepEqual(foreignKey({ ...cpu, torch: null }, "linux"), {
    problem: "torch is not installed, and b10-transfer needs it",
  });
  const mixed = {
    ...gpu("NVIDIA H100 80GB HBM3", "12.8"),
    devices: ["NVIDIA A100", "NVIDIA H100 80GB HBM3"],
  };
  assert.deepEqual(foreignKey(mixed, "linux"), {
    problem: "b10-transfer's key depends on which of several kinds of GPUs is torch's first",
  });
});

test("an archive's name holds the key, and other names hold none", () => {
  const found = foreignKey(cpu, "linux");
  assert.ok("key" in found);
  const name = archiveName(found.key);
  assert.equal(name, "cache_436c59e667a63097.latest.tar.gz");
  assert.equal(archiveKey(name), found.key);
  const others = [
    "cache_436c59e667a63097.incomplete.tar.gz",
    "cache_436c59e667a6309.latest.tar.gz",
    "cache_436C59E667A63097.latest.tar.gz",
    "xcache_436c59e667a63097.latest.tar.gz",
    "cache_436c59e667a63097.latest.tar.gz.lock",
    "copy_in.lock",
    "native",
  ];
  for (const other of others) assert.equal(archiveKey(other), undefined, other);
});
