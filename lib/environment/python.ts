/**
 * What an interpreter has installed. Two ways to the same answer, the first where it leaves no doubt (layout.ts).
 * Measured on two shared cores with a virtual environment of 88 entries and torch 2.13, Bun 1.4.5:
 *
 *  - its files are read: 2 ms; 7 ms in a process that has read no file before (on Deno 2.9.6 3 ms and 12 ms);
 *  - it is asked: 25 to 42 ms; 75 ms on an H100 pod whose Python runs start-up code; 150 ms by a pyenv shim.
 *
 * `importlib.metadata` in a fresh interpreter takes 110 ms, `import torch` 1 to 20 s.
 */
import type { System } from "../system.ts";
import { quote } from "../text.ts";
import { askPython } from "./ask_python.ts";
import { type Interpreter, notAnInterpreter } from "./interpreter.ts";
import { pathFileAdditions, plainSite } from "./layout.ts";
import { findPackages, type Packages } from "./packages.ts";

export interface PythonReport {
  /** "3.11"; undefined where the interpreter did not answer. */
  readonly version: string | undefined;
  readonly packages: Packages;
  /** How this was found out, in words. */
  readonly way: string;
  readonly notices: readonly string[];
}

const noPackages: Packages = { torch: undefined, triton: undefined, vllm: undefined };

/** @throws {CacheError} `bad_setting` where an interpreter that the user named does not answer. */
export async function readPython(system: System, interpreter: Interpreter): Promise<PythonReport> {
  return await readFiles(system, interpreter.path) ?? await ask(system, interpreter);
}

/** @returns undefined where the files leave a doubt. */
export async function readFiles(system: System, python: string): Promise<PythonReport | undefined> {
  const site = await plainSite(system, python);
  if (!site) return undefined;
  const additions = await pathFileAdditions(system.fs, site.dir);
  const packages = await findPackages(system.fs, { dirs: [site.dir, ...additions.dirs] });
  // What lies in site-packages itself comes before anything that code adds; what does not may come from
  // there.
  const complete = packages.torch && (!additions.code || (packages.triton && packages.vllm));
  if (!complete) return undefined;
  return { version: site.version, packages, way: "its files were read", notices: [] };
}

export async function ask(system: System, interpreter: Interpreter): Promise<PythonReport> {
  const answer = await askPython(system, interpreter.path);
  if ("failure" in answer) return unanswered(interpreter, answer.failure);
  const torchDir = answer.torch === null ? {} : { torchDir: answer.torch };
  const packages = await findPackages(system.fs, { dirs: answer.path, ...torchDir });
  return { version: answer.version, packages, way: "it was asked", notices: [] };
}

function unanswered({ path, configured }: Interpreter, failure: string): PythonReport {
  if (configured) throw notAnInterpreter(path, failure);
  return {
    version: undefined,
    packages: noPackages,
    way: "it did not answer",
    notices: [`Cannot ask the Python interpreter ${quote(path)} for its packages: ${failure}`],
  };
}
