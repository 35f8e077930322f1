import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type TopEntry, whyNotCleared } from "../lib/clear_guard.ts";

const prefixes = ["/tmp", "/cache", "/home/app/.cache", "/tmp/operators"];
const mountinfo = [
  "22 1 0:20 / / rw - overlay overlay rw",
  "23 22 0:21 / /tmp/mounted rw - tmpfs tmpfs rw",
  "24 22 0:22 / /tmp/holds/a\\040mount rw - ext4 /dev/sda rw",
].join("\n");

/** "name" is no directory, "name/" an empty one; one with content is as many lines as it has: "name/inner". */
function entriesOf(lines: readonly string[]): TopEntry[] {
  const found = new Map<string, string[] | undefined>();
  for (const line of lines) {
    const [name = "", inner] = line.split("/");
    const inside = inner === undefined ? undefined : [...found.get(name) ?? [], ...inner ? [inner] : []];
    found.set(name, inside);
  }
  return [...found].map(([name, inside]) => inside ? { name, inside } : { name });
}

function why(
  name: string,
  dir: string,
  lines: readonly string[] = [],
  { isTagged = false } = {},
): string | undefined {
  return whyNotCleared({ name, dir, entries: entriesOf(lines), isTagged }, { prefixes, mountinfo });
}

const key = "CVZLVXBIF3T4X2EBLXHLTIK7PAE5EOSPM7XJUHBYEB3AXPQ2NU5A";
const kernel = "aa/caaljn73akkctlfwp2c6z4joap4r3jrvqtlf4z3pl5bafsgpenyg.py";
const sha256 = "766b1bc8fcd77655eec80edf80d8e80e8b6bdeb9a2e35948e51aaea25fcb8634";

test("a prefix, and what holds one, is not emptied", () => {
  assert.match(
    why("inductor", "/tmp/operators", [kernel]) ?? "",
    /holds the allowed prefix "\/tmp\/operators"/,
  );
  assert.match(why("vllm", "/home/app") ?? "", /holds the allowed prefix "\/home\/app\/\.cache"/);
  assert.equal(why("inductor", "/tmp/operators-twin", [kernel]), undefined);
});

test("a mount point, and what holds one, is not emptied", () => {
  assert.match(why("inductor", "/tmp/mounted") ?? "", /"\/tmp\/mounted" is a mount point/);
  assert.match(why("inductor", "/tmp/holds") ?? "", /"\/tmp\/holds\/a mount" is a mount point/);
  assert.equal(why("inductor", "/tmp/mounted/below", [kernel]), undefined);
});

for (const entry of [".git", ".ssh", "etc", "model-00001-of-00002.safetensors", "config.json", "id.pem"]) {
  test(`what has ${entry} is no cache, whatever else is in it and whoever says so`, () => {
    for (const name of ["inductor", "vllm", "triton", "mine"]) {
      for (const isTagged of [false, true]) {
        assert.match(
          why(name, "/tmp/dir", [kernel, "fxgraph/", "torch_compile_cache/", entry], { isTagged }) ?? "",
          /a compile cache has no/,
        );
      }
    }
  });
}

/** What each program has at its top, and what is below that where it matters. */
const real: Readonly<Record<string, readonly (readonly string[])[]>> = {
  inductor: [
    // On a CPU, after a start that was killed.
    [
      kernel,
      "aa/caaljn73akkctlfwp2c6z4joap4r3jrvqtlf4z3pl5bafsgpenyg.main.cpp",
      "aa/caaljn73akkctlfwp2c6z4joap4r3jrvqtlf4z3pl5bafsgpenyg.so",
      "aa/.123.456.tmp",
      "aa/__pycache__",
      `zp/${sha256}.best_config`,
      "zz/",
      "fxgraph/2h",
      "aotautograd/aesq3njerusjmaxm5lahoy66u2ojzcf47xqv6hmy62qij4yumgk7",
      `cache/${sha256}`,
      "locks/anything.lock",
      "precompiled_headers/x.h.gch",
      "tmp0q_9zfa3/x",
      "cache/inductor_on_disk_cache",
      "cutedsl_compile_cache/x",
      "tmp0q_9zfa3.py",
      "configs_0123abcd.json",
      "memoizer_cache.json",
      "memoizer_cache.lock",
      ".b10-00112233445566778899aabbccddeeff/aa",
    ],
    ["triton/0", "triton/1"],
  ],
  vllm: [[
    "torch_compile_cache/0123456789",
    "torch_compile_cache/torch_aot_compile",
    "modelinfos/x.json",
    "deep_gemm/cache",
    "flashinfer_autotune_cache/x",
    "gpu_p2p_access_cache_for_0,1.json",
    "assets/vllm_public_assets",
    "startup_plan/startup_plan_0123.json",
  ]],
  triton: [[`${key}/kernel.cubin`, `${key}/__grp__kernel.json`, `${sha256}/old.so`, "tmp.pid_1_a/x"]],
  flashinfer: [["90a/cached_ops", "90a/generated", "90a/flashinfer_jit.log"], [
    "0.6.1/120a",
    "0.6.1/80_90a",
    "cubins/x",
  ]],
  deep_gemm: [["cache/kernel.fp8_gemm.0123abcd", "tmp/1a2b-3c4d"]],
  tilelang: [[`${sha256}/params.json`, "autotuner/x"], [
    "0.1.7_cuda/linux-x86_64",
    "0.1.7_cuda/cuda-binaries",
    "tmp/tmp0q_9zfa3.cu",
  ]],
  torch_extensions: [["py312_cu128/ops", "py311_cpu/"], [
    "my-ops/build.ninja",
    "my-ops/.ninja_log",
    "my-ops/lock",
    "my-ops/ops.so",
    "my-ops/ops.cuda.o",
    "my-ops/main.cpp",
  ]],
};

/** What is none, and what of it is named. Most have one name that a cache has, too. */
const strange: Readonly<Record<string, readonly (readonly [named: string, ...lines: string[]])[]>> = {
  inductor: [
    ["important", "cache/", "important/only-copy.bin"],
    ["notes", "fxgraph/2h", "notes"],
    ["en", "de/xde", "en/train.parquet"],
    ["en", "en/train.parquet"],
    ["js", "js/main.py"],
    ["aa", "aa"],
    ["cache", kernel, "cache/my-photos"],
    ["triton", "triton/README.md"],
    ["photo.jpg", "photo.jpg"],
    ["\u001b[2J".replace("\u001b", "\\u001b"), "\u001b[2J"],
  ],
  vllm: [
    ["aa", kernel],
    ["thesis.tex", "torch_compile_cache/", "thesis.tex"],
    ["assets", "assets/logo.svg"],
    ["models", "models/llama"],
  ],
  triton: [
    ["datasets", "datasets/train.parquet", "README.md"],
    ["README.md", `${key}/kernel.cubin`, "README.md"],
    ["0", `0/${key}`],
  ],
  flashinfer: [["2024", "2024/photo.jpg"], ["1.0", "1.0/release.tar"], ["x", "90a/cached_ops", "x/"]],
  deep_gemm: [["cache", "cache/photos"], ["tmp", "tmp/notes.txt"], ["x", "cache/kernel.a.0", "x"]],
  tilelang: [["1.0", "1.0/release.tar"], ["tmp", "tmp/notes"], ["kernels", "kernels/mine.cu"], [
    "x",
    `${sha256}/params.json`,
    "x",
  ]],
  torch_extensions: [
    ["hello", "hello/main.cpp"],
    ["tool", "tool/build.ninja", "tool/CMakeCache.txt"],
    ["x", "py312_cpu/ops", "x"],
  ],
};

describe("a known cache", () => {
  for (const [name, trees] of Object.entries(real)) {
    test(`${name}: is emptied as its program leaves it, and where it is empty`, () => {
      assert.equal(why(name, "/tmp/dir"), undefined);
      for (const tree of trees) assert.equal(why(name, "/tmp/dir", tree), undefined, tree.join(" "));
    });
  }

  for (const [name, trees] of Object.entries(strange)) {
    test(`${name}: one thing in it that is not the program's saves it all, and is named`, () => {
      for (const [named, ...tree] of trees) {
        const said = why(name, "/tmp/dir", tree) ?? "";
        assert.ok(said.startsWith(`"${named}" in it does not look like a part of `), `${tree}: ${said}`);
      }
    });
  }

  test("is emptied whatever is in it where its owner has tagged it", () => {
    assert.equal(
      why("triton", "/tmp/dir", ["of a later version", "CACHEDIR.TAG"], { isTagged: true }),
      undefined,
    );
  });
});

test("a cache of another name is emptied only where its owner has tagged it, or where nothing is in it", () => {
  const lines = ["photos/p.jpg", "thesis.tex"];
  assert.match(why("x", "/tmp/dir", lines) ?? "", /nothing says what belongs into a cache of that name/);
  assert.match(why("constructor", "/tmp/dir", lines) ?? "", /nothing says what belongs/);
  assert.equal(why("x", "/tmp/dir", lines, { isTagged: true }), undefined);
  assert.equal(why("x", "/tmp/dir"), undefined);
});
