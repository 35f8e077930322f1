/** Compiles the C programs of this directory. */
import { execFileSync } from "node:child_process";
import * as path from "node:path";
import { projectDir } from "../../../scripts/project.ts";

/** As they are found at run time, and without their headers. */
const libraries = ["-l:libzstd.so.1", "-l:libcrypto.so.3", "-lpthread"];

/** @returns the program's place, in `dir`. @throws {Error} where there is no C compiler, or not these libraries */
export function compileC(name: "pack" | "restore", dir: string): string {
  const program = path.join(dir, name);
  const source = path.join(
    projectDir,
    "bench",
    "pipeline",
    "limit",
    `${name}.c`,
  );
  execFileSync("cc", ["-O2", "-Wall", "-o", program, source, ...libraries], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  return program;
}

/** How a row of a C program with so many threads is labelled. */
export function inCLabel(threads: number): string {
  return `a C program, ${threads === 1 ? "one thread" : `${threads} threads`}`;
}
