/**
 * python_test.ts [--junit-xml=FILE]: checks and tests the Python package with python3, then tests it with every other
 * Python that it supports and this machine has; says which ones.
 * python_test.ts --wheel=FILE: installs that wheel, and tests what it installs.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { run } from "./process.ts";
import { devPython, makePython, minorVersion, pythonDir } from "./python_env.ts";

const supported = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"];
const stepTimeoutMs = 600 * 1000;

/** Runs a module of `python` on the package. */
async function runModule(
  python: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  await run([python, "-m", ...args], {
    timeoutMs: stepTimeoutMs,
    cwd: pythonDir,
    env: { ...process.env, ...env },
  });
}

/** One Python for each version: those on the PATH first, then pyenv's. */
async function otherPythons(mainVersion: string | undefined): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const python of candidates()) {
    const version = await minorVersion(python);
    if (!version || version === mainVersion || !supported.includes(version) || found.has(version)) continue;
    found.set(version, python);
  }
  return new Map(supported.flatMap((version) => {
    const python = found.get(version);
    return python === undefined ? [] : [[version, python] as const];
  }));
}

function candidates(): string[] {
  const dirs = (process.env["PATH"] ?? "").split(path.delimiter).filter((dir) => path.isAbsolute(dir));
  const onPath = dirs.flatMap((dir) => supported.map((version) => path.join(dir, `python${version}`)));
  const pyenv = path.join(process.env["PYENV_ROOT"] ?? path.join(os.homedir(), ".pyenv"), "versions");
  const ofPyenv = fs.existsSync(pyenv)
    ? fs.readdirSync(pyenv).sort().map((name) => path.join(pyenv, name, "bin", "python3"))
    : [];
  return [...onPath, ...ofPyenv].filter((python) => fs.existsSync(python));
}

const { values } = parseArgs({ options: { "junit-xml": { type: "string" }, wheel: { type: "string" } } });
const python = await devPython();
if (values.wheel !== undefined) {
  const env = { B10_TEST_WHEEL: path.resolve(values.wheel) };
  await runModule(python, ["pytest", "--quiet", "tests/test_wheel.py"], env);
} else {
  const report = values["junit-xml"];
  await runModule(python, ["ruff", "check"]);
  await runModule(python, ["ruff", "format", "--check"]);
  await runModule(python, ["mypy"]);
  const reported = report === undefined ? [] : [`--junit-xml=${path.resolve(report)}`];
  await runModule(python, ["pytest", "--quiet", ...reported]);
  const mainVersion = await minorVersion(python);
  const others = await otherPythons(mainVersion);
  for (const [version, other] of others) {
    console.log(`Python ${version}: ${other}`);
    const made = await makePython(other, { name: `python-venv-${version}`, tools: "test" });
    await runModule(made, ["pytest", "--quiet"]);
  }
  const missing = supported.filter((version) => version !== mainVersion && !others.has(version));
  console.log(
    `Tested with Python ${[mainVersion, ...others.keys()].join(", ")}` +
      (missing.length > 0 ? `; not on this machine: ${missing.join(", ")}` : ""),
  );
}
