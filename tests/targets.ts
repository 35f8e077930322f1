/**
 * What the tests of whole programs run against: the source on Deno with exactly the program's own permissions, the
 * source on Bun, and the compiled binary.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { denoPermissionFlags } from "../lib/system/permissions.ts";
import { binary, bunExecutable, projectDir, threadSources } from "../scripts/project.ts";

export const targetNames = ["deno", "bun", "binary"] as const;

export type TargetName = typeof targetNames[number];

export interface Target {
  readonly name: TargetName;
  /** The words that start the program: append its arguments. */
  readonly command: readonly string[];
  /** Why this target cannot run here; `false` where it can. Fits the `skip` option of a test. */
  readonly skip: string | false;
}

export interface Program {
  /** The source of its entry point. */
  readonly source: string;
  /** Where its compiled binary is, or will be once the tests run. */
  readonly binary: string;
}

/** The program itself: B10_TEST_BINARY names a binary other than the one that `deno task build` makes. */
export const mainProgram: Program = {
  source: path.join(projectDir, "main.ts"),
  binary: process.env["B10_TEST_BINARY"] ?? binary,
};

/** The runtime that runs the tests, as a target. */
export const ownRuntime: TargetName = "Deno" in globalThis ? "deno" : "bun";

/** The targets that B10_TEST_TARGETS names, separated by commas, and without it those of `byDefault`. */
export function selectTargets(program: Program, byDefault: readonly TargetName[]): Target[] {
  const chosen = process.env["B10_TEST_TARGETS"];
  const names = chosen ? chosen.split(",").map(parseTargetName) : byDefault;
  return names.map((name) => {
    switch (name) {
      case "deno":
        return {
          name,
          command: denoCommand(program, denoPermissionFlags),
          skip: denoExecutable ? false : "no Deno on the PATH, and B10_TEST_DENO does not name one",
        };
      case "bun":
        return { name, command: [bunExecutable, program.source], skip: false };
      case "binary":
        return { name, command: [program.binary], skip: false };
    }
  });
}

/** Starts the source of `program` on Deno with these permission flags. */
export function denoCommand(program: Program, permissionFlags: readonly string[]): string[] {
  return [denoExecutable ?? "deno", "run", "--quiet", ...permissionFlags, program.source];
}

/** Compiles `program` with the flags that decide how a binary behaves; about a second. */
export function compileBinary(program: Program): void {
  const flags = ["--compile", "--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  execFileSync(bunExecutable, [
    "build",
    ...flags,
    program.source,
    ...threadSources,
    "--outfile",
    program.binary,
  ], {
    cwd: projectDir,
    stdio: "pipe",
  });
}

function parseTargetName(name: string): TargetName {
  const known = targetNames.find((target) => target === name);
  if (known) return known;
  throw new Error(`Cannot test "${name}" as B10_TEST_TARGETS takes ${targetNames.join(", ")}`);
}

const denoExecutable = findDeno();

function findDeno(): string | undefined {
  if (ownRuntime === "deno") return process.execPath;
  const dirs = (process.env["PATH"] ?? "").split(path.delimiter).filter((dir) => dir !== "");
  const onPath = dirs.map((dir) => path.join(dir, "deno"));
  return [...onPath, process.env["B10_TEST_DENO"] ?? ""].find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}
