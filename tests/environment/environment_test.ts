import assert from "node:assert/strict";
import { test } from "node:test";
import { detectEnvironment } from "../../lib/environment.ts";
import { elf, type FakePod, startPod } from "./fake_pod.ts";

const site = "/opt/venv/lib/python3.12/site-packages";

const gpuPod: FakePod = {
  files: {
    "/usr/local/bin/vllm": "#!/opt/venv/bin/python\n",
    "/opt/venv/pyvenv.cfg": "version_info = 3.12.9\ninclude-system-site-packages = false\n",
    "/opt/venv/bin/python": elf,
    [`${site}/torch/version.py`]: "__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\n",
    [`${site}/triton-3.6.0.dist-info/METADATA`]: "",
    [`${site}/vllm-0.32.0.dist-info/METADATA`]: "",
  },
  kernel: {
    "/dev/nvidia0": "",
    "/proc/driver/nvidia/gpus/0000:17:00.0/information":
      "Model: \t\t NVIDIA H100 80GB HBM3\nDevice Minor: \t 0\n",
    "/proc/cpuinfo": "flags\t\t: sse2 avx2 fma\n",
  },
};

test("detectEnvironment() describes a GPU pod", async () => {
  const { environment, notices } = await detectEnvironment(startPod(gpuPod).system, {});
  assert.deepEqual(environment, {
    accelerator: "cuda",
    devices: ["NVIDIA H100 80GB HBM3"],
    cuda: "13.0",
    rocm: null,
    torch: "2.11.0+cu130",
    triton: "3.6.0",
    vllm: "0.32.0",
    python: "3.12",
    machine: "x86_64",
    cpu_isa: null,
  });
  assert.deepEqual(notices, []);
});

test("detectEnvironment() says where each fact is from", async () => {
  const { facts } = await detectEnvironment(startPod(gpuPod).system, {});
  const version = `${site}/torch/version.py`;
  assert.deepEqual(facts.map(({ name, value, source }) => [name, value, source]), [
    ["interpreter", "/opt/venv/bin/python", "#! line of /usr/local/bin/vllm; its files were read"],
    ["python", "3.12", "/opt/venv/bin/python"],
    ["torch", "2.11.0+cu130", version],
    ["cuda", "13.0", version],
    ["rocm", "none", version],
    ["triton", "3.6.0", `${site}/triton-3.6.0.dist-info`],
    ["vllm", "0.32.0", `${site}/vllm-0.32.0.dist-info`],
    ["accelerator", "cuda", "/proc/driver/nvidia/gpus"],
    ["devices", "NVIDIA H100 80GB HBM3", "/proc/driver/nvidia/gpus"],
    ["machine", "x86_64", "uname"],
    ["cpu_isa", "none", "not of interest on a GPU"],
  ]);
});

test("detectEnvironment() knows the CPU where a CUDA build of torch has no GPU", async () => {
  const pod = { ...gpuPod, env: { CUDA_VISIBLE_DEVICES: "" } };
  const { environment } = await detectEnvironment(startPod(pod).system, {});
  assert.deepEqual([environment.accelerator, environment.devices, environment.cuda], ["cpu", [], "13.0"]);
  assert.match(environment.cpu_isa ?? "", /^avx2:/);
});

test("detectEnvironment() is the same for every way of naming the interpreter", async () => {
  const ways = [{}, { command: ["vllm", "serve"] }, { python: "/opt/venv/bin/python" }, {
    command: ["/opt/venv/bin/python", "-m", "vllm"],
  }];
  const environments = await Promise.all(
    ways.map(async (options) => (await detectEnvironment(startPod(gpuPod).system, options)).environment),
  );
  for (const environment of environments) assert.deepEqual(environment, environments[0]);
});

test("detectEnvironment() works without Python, torch and GPU", async () => {
  const { environment, facts, notices } = await detectEnvironment(
    startPod({ kernel: { "/proc/cpuinfo": "flags\t\t: sse2\n" } }).system,
    {},
  );
  const { machine, cpu_isa: isa, ...others } = environment;
  assert.deepEqual(others, {
    accelerator: "cpu",
    devices: [],
    cuda: null,
    rocm: null,
    torch: null,
    triton: null,
    vllm: null,
    python: null,
  });
  assert.equal(machine, "x86_64");
  assert.match(isa ?? "", /^default:/);
  assert.deepEqual(notices, []);
  assert.deepEqual(facts.filter(({ value }) => value === "none").map(({ name }) => name), [
    ...["interpreter", "python", "torch", "cuda", "rocm", "triton", "vllm", "devices"],
  ]);
});

test("detectEnvironment() passes on what every part has to say", async () => {
  const pod = { files: { "/usr/bin/python3": "#!/bin/bash\n" }, kernel: { "/dev/nvidia0": "" } };
  const { notices } = await detectEnvironment(startPod(pod).system, {});
  assert.deepEqual(notices.map((notice) => notice.split(" ", 2).join(" ")), [
    "Cannot ask",
    "This pod",
    "Cannot read",
  ]);
});

test("detectEnvironment() refuses a B10_CACHE_PYTHON that is not there", async () => {
  await assert.rejects(detectEnvironment(startPod(gpuPod).system, { python: "/nowhere" }), {
    code: "bad_setting",
  });
});
