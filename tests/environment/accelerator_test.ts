import assert from "node:assert/strict";
import { test } from "node:test";
import { detectAccelerator } from "../../lib/environment/accelerator.ts";
import { parseKfdProperties, parseRocminfo } from "../../lib/environment/amd.ts";
import { parseGpuInformation } from "../../lib/environment/nvidia.ts";
import type { TorchBuild } from "../../lib/environment/packages.ts";
import { type FakePod, startPod } from "./fake_pod.ts";

function torchFor(...accelerators: ("cuda" | "rocm")[]): TorchBuild {
  return { version: "2.11.0", cuda: null, rocm: null, accelerators, source: "a test" };
}

async function detect(pod: FakePod, torch: TorchBuild | undefined) {
  const { system, started } = startPod(pod);
  return { ...await detectAccelerator(system, torch), started: started.map((argv) => argv[0]) };
}

const h100 = (minor: number) =>
  `Model: \t\t NVIDIA H100 80GB HBM3
IRQ:   \t\t 92
GPU UUID: \t GPU-e953c3c5-dba7-029e-ce44-7b51417131df
Video BIOS: \t 96.00.89.00.01
Bus Type: \t PCIe
DMA Size: \t 52 bits
DMA Mask: \t 0xfffffffffffff
Bus Location: \t 0000:17:00.0
Device Minor: \t ${minor}
GPU Firmware: \t 570.172.08
GPU Excluded:\t No
`;

const gpus = "/proc/driver/nvidia/gpus";
const nvidiaHost = {
  "/dev/null": "",
  "/dev/nvidiactl": "",
  "/dev/nvidia0": "",
  [`${gpus}/0000:17:00.0/information`]: h100(0),
  [`${gpus}/0000:65:00.0/information`]: h100(1).replace("H100 80GB HBM3", "L4"),
};

test("parseGpuInformation() reads the model and the device's number", () => {
  assert.deepEqual(parseGpuInformation(h100(3)), { model: "NVIDIA H100 80GB HBM3", minor: 3 });
  const old =
    "Model:           GeForce GTX 1080 Ti\nIRQ:             63\nDevice Minor:    0\nBlacklisted:     No\n";
  assert.deepEqual(parseGpuInformation(old), { model: "GeForce GTX 1080 Ti", minor: 0 });
});

test("parseGpuInformation() does not take an unknown model for a name", () => {
  assert.deepEqual(parseGpuInformation("Model: \t\t Unknown\nIRQ: 0\n"), {
    model: undefined,
    minor: undefined,
  });
  assert.deepEqual(parseGpuInformation("Model:\nIRQ: 0\n"), { model: undefined, minor: undefined });
});

test("detectAccelerator() names the GPUs whose devices are in this pod, without a process", async () => {
  const found = await detect({ kernel: nvidiaHost }, torchFor("cuda"));
  assert.equal(found.kind, "cuda");
  assert.deepEqual(found.devices, ["NVIDIA H100 80GB HBM3"]);
  assert.deepEqual(found.started, []);
});

test("detectAccelerator() names each kind of GPU once, sorted", async () => {
  const kernel = {
    ...nvidiaHost,
    "/dev/nvidia1": "",
    "/dev/nvidia2": "",
    "/dev/nvidia3": "",
    [`${gpus}/0000:db:00.0/information`]: h100(3),
    [`${gpus}/0000:ca:00.0/information`]: h100(2).replace("H100 80GB HBM3", "A10G"),
  };
  const { devices } = await detect({ kernel }, torchFor("cuda"));
  assert.deepEqual(devices, ["NVIDIA A10G", "NVIDIA H100 80GB HBM3", "NVIDIA L4"]);
});

test("detectAccelerator() probes nothing for a CPU build of torch", async () => {
  const found = await detect({
    host: {
      kernelDirectory: () => assert.fail("a directory was listed"),
      kernelFile: () => assert.fail("a file was read"),
    },
  }, torchFor());
  assert.deepEqual([found.kind, found.devices], ["cpu", []]);
});

test("detectAccelerator() finds no GPU on a GPU host whose devices this pod does not have", async () => {
  const kernel = Object.fromEntries(
    Object.entries(nvidiaHost).filter(([path]) => !path.includes("/dev/nvidia")),
  );
  const found = await detect({ kernel }, torchFor("cuda"));
  assert.equal(found.kind, "cpu");
  assert.deepEqual(found.notices, []);
});

for (const value of ["", "-1", "-1,0", "none"]) {
  test(`detectAccelerator() finds no GPU where CUDA_VISIBLE_DEVICES is "${value}"`, async () => {
    const found = await detect(
      { kernel: nvidiaHost, env: { CUDA_VISIBLE_DEVICES: value } },
      torchFor("cuda"),
    );
    assert.deepEqual([found.kind, found.source], ["cpu", "hidden by CUDA_VISIBLE_DEVICES"]);
  });
}

for (const value of ["0", "1,0", "GPU-8932f937", "MIG-GPU-8932f937/1/0"]) {
  test(`detectAccelerator() finds the GPU where CUDA_VISIBLE_DEVICES is "${value}"`, async () => {
    const found = await detect(
      { kernel: nvidiaHost, env: { CUDA_VISIBLE_DEVICES: value } },
      torchFor("cuda"),
    );
    assert.equal(found.kind, "cuda");
  });
}

const unnamedGpu = { "/dev/nvidiactl": "", "/dev/nvidia0": "" };

test("detectAccelerator() asks nvidia-smi where the driver's files are not visible", async () => {
  const programs = { "nvidia-smi": { stdout: "NVIDIA H100 80GB HBM3\nNVIDIA H100 80GB HBM3\n" } };
  const found = await detect({ kernel: unnamedGpu, programs }, torchFor("cuda"));
  assert.deepEqual([found.kind, found.devices, found.source], [
    "cuda",
    ["NVIDIA H100 80GB HBM3"],
    "nvidia-smi",
  ]);
});

test("detectAccelerator() asks nvidia-smi where the driver does not name a GPU", async () => {
  const kernel = { ...nvidiaHost, [`${gpus}/0000:17:00.0/information`]: "Model: Unknown\nDevice Minor: 0\n" };
  const found = await detect(
    { kernel, programs: { "nvidia-smi": { stdout: "NVIDIA H100\n" } } },
    torchFor("cuda"),
  );
  assert.deepEqual(found.devices, ["NVIDIA H100"]);
});

test("detectAccelerator() asks nvidia-smi where the driver names only some of the GPUs", async () => {
  const kernel = {
    ...nvidiaHost,
    "/dev/nvidia1": "",
    [`${gpus}/0000:65:00.0/information`]: "Device Minor: 1\n",
  };
  const programs = { "nvidia-smi": { stdout: "NVIDIA H100\nNVIDIA L4\n" } };
  assert.deepEqual((await detect({ kernel, programs }, torchFor("cuda"))).devices, [
    "NVIDIA H100",
    "NVIDIA L4",
  ]);
});

const smiFailures = [
  [{}, "ENOENT: spawn nvidia-smi"],
  [{ "nvidia-smi": { code: 9 } }, "nvidia-smi ended with exit status 9"],
  [{ "nvidia-smi": { code: 137, timedOut: true } }, "nvidia-smi did not answer within 5 s"],
  [{ "nvidia-smi": { stdout: "\n" } }, "nvidia-smi names none"],
] as const;

for (const [programs, reason] of smiFailures) {
  test(`detectAccelerator() counts a GPU that nobody names as none, and says so: ${reason}`, async () => {
    const found = await detect({ kernel: unnamedGpu, programs }, torchFor("cuda"));
    assert.equal(found.kind, "cpu");
    assert.deepEqual(found.notices, [
      `This pod has an NVIDIA device but is treated as one without: ${reason}`,
    ]);
  });
}

const mi300x = `cpu_cores_count 0
simd_count 1216
mem_banks_count 1
gfx_target_version 90402
vendor_id 4098
device_id 29857
location_id 29952
domain 0
drm_render_minor 128
num_xcc 8
`;

const nodes = "/sys/class/kfd/kfd/topology/nodes";
const amdHost = {
  "/dev/kfd": "",
  "/dev/dri/renderD128": "",
  [`${nodes}/0/properties`]: "cpu_cores_count 48\nsimd_count 0\ngfx_target_version 0\n",
  [`${nodes}/1/properties`]: mi300x,
  [`${nodes}/2/properties`]: mi300x.replace("90402", "90010").replace("_minor 128", "_minor 129"),
};

test("parseKfdProperties() writes a target as compilers do", () => {
  const target = (version: string) => parseKfdProperties(mi300x.replace("90402", version))?.target;
  const versions = ["90402", "90010", "90500", "100302", "110000", "110501", "120001"];
  assert.deepEqual(versions.map(target), [
    "gfx942",
    "gfx90a",
    "gfx950",
    "gfx1032",
    "gfx1100",
    "gfx1151",
    "gfx1201",
  ]);
});

test("parseKfdProperties() passes by CPUs and empty files", () => {
  assert.equal(parseKfdProperties("cpu_cores_count 48\ngfx_target_version 0\n"), undefined);
  assert.equal(parseKfdProperties(""), undefined);
});

test("detectAccelerator() names an AMD GPU by target and PCI identity", async () => {
  const found = await detect({ kernel: amdHost }, torchFor("rocm"));
  assert.deepEqual([found.kind, found.devices], ["rocm", ["gfx942 1002:74a1"]]);
});

test("detectAccelerator() names an AMD GPU by the product where the board says it", async () => {
  const kernel = { ...amdHost, "/sys/class/drm/renderD128/device/product_name": "AMD Instinct MI300X OAM\n" };
  const found = await detect({ kernel }, torchFor("rocm"));
  assert.deepEqual(found.devices, ["gfx942 AMD Instinct MI300X OAM"]);
});

for (const name of ["HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"]) {
  test(`detectAccelerator() finds no AMD GPU where ${name} is "-1"`, async () => {
    const found = await detect({ kernel: amdHost, env: { [name]: "-1" } }, torchFor("rocm"));
    assert.deepEqual([found.kind, found.source], ["cpu", `hidden by ${name}`]);
  });
}

const rocminfo = `ROCk module is loaded
==========
HSA Agents
==========
*******
Agent 1
*******
  Name:                    AMD EPYC 9474F 48-Core Processor
  Uuid:                    CPU-XX
  Marketing Name:          AMD EPYC 9474F 48-Core Processor
  Vendor Name:             CPU
  Device Type:             CPU
*******
Agent 2
*******
  Name:                    gfx942
  Uuid:                    GPU-21b6d61638a86f8c
  Marketing Name:          AMD Instinct MI300X
  Vendor Name:             AMD
  Device Type:             GPU
  ISA Info:
    ISA 1
      Name:                    amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-
*** Done ***
`;

test("parseRocminfo() takes the GPUs among the agents", () => {
  assert.deepEqual(parseRocminfo(rocminfo), ["gfx942 AMD Instinct MI300X"]);
  assert.deepEqual(parseRocminfo("ROCk module is NOT loaded, possibly no GPU devices\n"), []);
});

test("detectAccelerator() asks rocminfo where the kernel's list is not readable", async () => {
  const pod = { kernel: { "/dev/kfd": "" }, programs: { rocminfo: { stdout: rocminfo } } };
  const found = await detect(pod, torchFor("rocm"));
  assert.deepEqual([found.kind, found.devices], ["rocm", ["gfx942 AMD Instinct MI300X"]]);
});

test("detectAccelerator() looks for GPUs of either maker where torch is not known", async () => {
  assert.equal((await detect({ kernel: nvidiaHost }, undefined)).kind, "cuda");
  assert.equal((await detect({ kernel: amdHost }, undefined)).kind, "rocm");
  assert.equal((await detect({ kernel: {} }, undefined)).kind, "cpu");
});

test("detectAccelerator() passes by GPUs that torch was not built for", async () => {
  assert.equal((await detect({ kernel: nvidiaHost }, torchFor("rocm"))).kind, "cpu");
  assert.equal((await detect({ kernel: amdHost }, torchFor("cuda"))).kind, "cpu");
});
