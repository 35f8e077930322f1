/**
 * Which Python this pod's model runs on. One rule, so that every way of use on a pod reaches the same key.
 */
import { dirname, join } from "node:path/posix";
import { CacheError } from "../errors.ts";
import type { System } from "../system.ts";
import { quote } from "../text.ts";
import { readText } from "./read_text.ts";
import { findProgram } from "./search_path.ts";
import { isPythonName, type Launcher, maxShebangBytes, parseShebang } from "./shebang.ts";

export interface Interpreter {
  /** Absolute, symlinks unresolved: a virtual environment is known by where its link lies. */
  readonly path: string;
  /** Which part of the rule chose it, in words. */
  readonly source: string;
  /** The user named it: then it must work. */
  readonly configured: boolean;
}

export interface Choice {
  /** B10_CACHE_PYTHON: a path, or a name on PATH. */
  readonly python?: string;
  /** The words of the command that `run` starts. */
  readonly command?: readonly string[];
}

/**
 * B10_CACHE_PYTHON, else the interpreter of `command` (itself one, or a script with one in its `#!` line),
 * else that of `vllm` on PATH, else `python3` on PATH. What is no Python script, or names an interpreter that
 * is not there, decides nothing: the next part of the rule applies.
 * @returns undefined on a pod without Python.
 * @throws {CacheError} `bad_setting` where `choice.python` is no executable file.
 */
export async function findInterpreter(system: System, choice: Choice): Promise<Interpreter | undefined> {
  if (choice.python) return await configured(system, choice.python);
  return await ofProgram(system, choice.command?.[0] ?? "") ?? await ofProgram(system, "vllm") ??
    await onPath(system, "python3");
}

async function configured(system: System, python: string): Promise<Interpreter> {
  const path = await findProgram(system, python);
  if (path === undefined) throw notAnInterpreter(python, "there is no such executable file");
  return { path, source: "B10_CACHE_PYTHON", configured: true };
}

/** The error for a B10_CACHE_PYTHON that breaks its rule. */
export function notAnInterpreter(python: string, reason: string, options?: ErrorOptions): CacheError {
  return new CacheError(
    "bad_setting",
    `Cannot use B10_CACHE_PYTHON ${quote(python)} as it must be a Python interpreter that runs: ${reason}`,
    options,
  );
}

async function ofProgram(system: System, program: string): Promise<Interpreter | undefined> {
  const path = await findProgram(system, program);
  if (path === undefined) return undefined;
  if (isPythonName(path)) return { path, source: "the command itself", configured: false };
  const launcher = parseShebang(await readText(system.fs, path, maxShebangBytes) ?? "");
  const interpreter = launcher && await findProgram(system, await nameOf(system, launcher, path));
  return interpreter === undefined
    ? undefined
    : { path: interpreter, source: `#! line of ${path}`, configured: false };
}

async function nameOf(system: System, launcher: Launcher, script: string): Promise<string> {
  switch (launcher.kind) {
    case "path":
      return launcher.path;
    case "name":
      return launcher.name;
    case "beside":
      return join(dirname(await system.fs.realPath(script)), launcher.name);
  }
  launcher satisfies never;
}

async function onPath(system: System, name: string): Promise<Interpreter | undefined> {
  const path = await findProgram(system, name);
  return path === undefined ? undefined : { path, source: `${name} on the PATH`, configured: false };
}
