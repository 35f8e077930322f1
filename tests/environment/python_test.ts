import assert from "node:assert/strict";
import { test } from "node:test";
import type { Interpreter } from "../../lib/environment/interpreter.ts";
import { type PythonReport, readPython } from "../../lib/environment/python.ts";
import { elf, type FakePod, startPod } from "./fake_pod.ts";

const site = "/opt/venv/lib/python3.11/site-packages";
const cudaTorch = "__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n";

const venv = {
  "/opt/venv/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.7\n",
  "/opt/venv/bin/python": elf,
  [`${site}/torch/version.py`]: cudaTorch,
  [`${site}/torch-2.11.0+cu130.dist-info/METADATA`]: "",
  [`${site}/triton-3.6.0.dist-info/METADATA`]: "",
  [`${site}/vllm-0.32.0.dist-info/METADATA`]: "",
};

const answer = {
  version: "3.12",
  path: ["/usr/lib/python3.12", "/usr/local/lib/python3.12/dist-packages"],
  torch: "/usr/local/lib/python3.12/dist-packages/torch",
};

const debian = {
  "/usr/bin/python3.12": elf,
  "/usr/local/lib/python3.12/dist-packages/torch/version.py": cudaTorch,
  "/usr/local/lib/python3.12/dist-packages/triton-3.6.0.dist-info/METADATA": "",
};

interface Read {
  readonly report: PythonReport;
  readonly started: readonly (readonly string[])[];
}

/** Whatever is asked answers as Debian's Python. */
async function read(pod: FakePod, python: Partial<Interpreter> = {}): Promise<Read> {
  const path = python.path ?? "/opt/venv/bin/python";
  const files = { ...debian, ...pod.files };
  const programs = { [path]: { stdout: JSON.stringify(answer) }, ...pod.programs };
  const { system, started } = startPod({ ...pod, files, programs });
  const interpreter = { source: "a test", configured: false, ...python, path };
  return { report: await readPython(system, interpreter), started };
}

function versions({ report }: Read): readonly (string | undefined)[] {
  const { torch, triton, vllm } = report.packages;
  return [report.version, torch?.version, triton?.version, vllm?.version];
}

test("readPython() reads a virtual environment without starting a process", async () => {
  const result = await read({ files: venv });
  assert.deepEqual(versions(result), ["3.11", "2.11.0+cu130", "3.6.0", "0.32.0"]);
  assert.deepEqual(result.started, []);
  assert.equal(result.report.packages.torch?.source, `${site}/torch/version.py`);
  assert.equal(result.report.packages.torch?.cuda, "13.0");
});

test("readPython() reads an interpreter below a prefix of its own without starting a process", async () => {
  const files = {
    "/opt/conda/bin/python3.11": elf,
    "/opt/conda/lib/python3.11/os.py": "",
    "/opt/conda/lib/python3.11/site-packages/torch/version.py": cudaTorch,
  };
  const pod = { files, links: { "/opt/conda/bin/python": "/opt/conda/bin/python3.11" } };
  const result = await read(pod, { path: "/opt/conda/bin/python" });
  assert.deepEqual(versions(result), ["3.11", "2.11.0+cu130", undefined, undefined]);
  assert.deepEqual(result.started, []);
});

const conda = {
  "/opt/conda/bin/python3.11": elf,
  "/opt/conda/lib/python3.11/os.py": "",
  "/opt/conda/lib/python3.11/site-packages/torch/version.py": cudaTorch,
};
const condaPython = "/opt/conda/bin/python3.11";
const userSite = { ...conda, "/root/.local/lib/python3.11/site-packages/torch/version.py": "" };
const withoutTriton = Object.fromEntries(Object.entries(venv).filter(([path]) => !path.includes("triton")));

const doubtful: readonly (readonly [name: string, pod: FakePod, path?: string])[] = [
  ["PYTHONPATH", { files: venv, env: { PYTHONPATH: "/app" } }],
  ["PYTHONHOME", { files: venv, env: { PYTHONHOME: "/opt/py" } }],
  ["a script in the interpreter's place", { files: { ...venv, "/opt/venv/bin/python": "#!/bin/bash\n" } }],
  ["a virtual environment that shows the system's packages", {
    files: { ...venv, "/opt/venv/pyvenv.cfg": "include-system-site-packages = true\nversion = 3.11.7\n" },
  }],
  ["a virtual environment made for another version", {
    files: { ...venv, "/opt/venv/pyvenv.cfg": "version = 3.10.1\n" },
  }],
  ["a virtual environment whose link leads to another version", {
    files: Object.fromEntries(Object.entries(venv).filter(([path]) => path !== "/opt/venv/bin/python")),
    links: { "/opt/venv/bin/python": "/usr/bin/python3.12" },
  }],
  ["two versions in one virtual environment", {
    files: { ...venv, "/opt/venv/lib/python3.12/site-packages/x.py": "" },
  }],
  ["a package that is absent where a .pth file runs code", {
    files: { ...withoutTriton, [`${site}/more.pth`]: "import more\n" },
  }],
  ["a virtual environment without torch", {
    files: Object.fromEntries(Object.entries(venv).filter(([path]) => !path.includes("torch"))),
  }],
  ["Debian's own Python", { files: debian }, "/usr/bin/python3.12"],
  ["a distribution's own Python, even where it has site-packages", {
    files: {
      "/usr/lib/python3.12/os.py": "",
      "/usr/lib/python3.12/site-packages/torch/version.py": cudaTorch,
    },
  }, "/usr/bin/python3.12"],
  ["packages in the user's home", { files: userSite }, condaPython],
  ["a prefix without a standard library", {
    files: Object.fromEntries(Object.entries(conda).filter(([path]) => !path.endsWith("os.py"))),
  }, condaPython],
];

for (const [name, pod, path] of doubtful) {
  test(`readPython() asks the interpreter because of ${name}`, async () => {
    const result = await read(pod, path === undefined ? {} : { path });
    assert.equal(result.started.length, 1);
    assert.deepEqual(versions(result), ["3.12", "2.11.0+cu130", "3.6.0", undefined]);
  });
}

const clear: readonly (readonly [name: string, pod: FakePod, path?: string])[] = [
  ["a .pth file that runs code where every package is there", {
    files: { ...venv, [`${site}/more.pth`]: "import more\n" },
  }],
  ["a harmless .pth file where a package is absent", {
    files: { ...withoutTriton, [`${site}/_virtualenv.pth`]: "import _virtualenv" },
  }],
  ["packages in the user's home under PYTHONNOUSERSITE", {
    files: userSite,
    env: { PYTHONNOUSERSITE: "1" },
  }, condaPython],
];

for (const [name, pod, path] of clear) {
  test(`readPython() does not ask because of ${name}`, async () => {
    assert.deepEqual((await read(pod, path === undefined ? {} : { path })).started, []);
  });
}

test("readPython() finds packages in the directories that .pth files add, after those beside the files", async () => {
  const files = {
    ...withoutTriton,
    [`${site}/b.pth`]: "/opt/later\n",
    [`${site}/a.pth`]: "more\n/opt/absent\n",
    [`${site}/more/triton-3.7.0.dist-info/METADATA`]: "",
    [`${site}/more/vllm-0.0.1.dist-info/METADATA`]: "",
    "/opt/later/triton-3.8.0.dist-info/METADATA": "",
  };
  const result = await read({ files });
  assert.deepEqual(versions(result), ["3.11", "2.11.0+cu130", "3.7.0", "0.32.0"]);
  assert.deepEqual(result.started, []);
});

const shim = { files: { "/root/.pyenv/shims/python3": "#!/usr/bin/env bash\n" } };
const shimPath = "/root/.pyenv/shims/python3";

test("readPython() gets all from a pyenv shim in one call", async () => {
  const result = await read(shim, { path: shimPath });
  assert.deepEqual(versions(result), ["3.12", "2.11.0+cu130", "3.6.0", undefined]);
  assert.equal(result.started.length, 1);
});

test("readPython() takes torch from where the interpreter would import it", async () => {
  const programs = { [shimPath]: { stdout: JSON.stringify({ ...answer, torch: "/src/pytorch/torch" }) } };
  const files = { ...shim.files, "/src/pytorch/torch/version.py": "__version__ = '2.14.0a0'\nhip = '7.0'\n" };
  const { report } = await read({ files, programs }, { path: shimPath });
  assert.deepEqual(report.packages.torch, {
    version: "2.14.0a0",
    cuda: null,
    rocm: "7.0",
    accelerators: ["rocm"],
    source: "/src/pytorch/torch/version.py",
  });
});

const silences = [
  [{ code: 1, stderr: "Traceback\nImportError: no module\n" }, 'exit status 1, "ImportError: no module"'],
  [{ code: 137, timedOut: true }, "no answer within 10 s"],
  [{ stdout: "usage: ls\n" }, 'it printed "usage: ls"'],
] as const;

for (const [run, reason] of silences) {
  test(`readPython() goes on without packages, and says so: ${reason}`, async () => {
    const { report } = await read({ ...shim, programs: { [shimPath]: run } }, { path: shimPath });
    assert.deepEqual(report.packages, { torch: undefined, triton: undefined, vllm: undefined });
    assert.deepEqual(report.notices, [
      `Cannot ask the Python interpreter "${shimPath}" for its packages: ${reason}`,
    ]);
  });

  test(`readPython() refuses a B10_CACHE_PYTHON that does not answer: ${reason}`, async () => {
    const configured = { path: shimPath, configured: true };
    await assert.rejects(read({ ...shim, programs: { [shimPath]: run } }, configured), {
      code: "bad_setting",
      message:
        `Cannot use B10_CACHE_PYTHON "${shimPath}" as it must be a Python interpreter that runs: ${reason}`,
    });
  });
}
