/** The C programs of this directory, compiled: what the machine itself needs for the work of a plan. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { projectDir } from "../../../scripts/project.ts";
import type { Command } from "../../processes/command.ts";
import { baseEnvironment } from "../../processes/environment.ts";

/** As they are found at run time, and without their headers. */
const libraries = ["-l:libzstd.so.1", "-l:libcrypto.so.3", "-lpthread"];

const threads = [1, 2];

/**
 * Compiles one into `dir` and writes its plan beside it.
 * @param rest its arguments after the plan and the threads
 * @returns how it is run, by one thread and by two
 * @throws {Error} where there is no C compiler, or not these libraries
 */
export function inC(
  name: "pack" | "restore",
  { dir, plan, rest = [] }: { dir: string; plan: string; rest?: readonly string[] },
): { label: string; command: Command }[] {
  const [program, planPlace] = [path.join(dir, name), path.join(dir, "plan")];
  const source = path.join(projectDir, "bench/pipeline/limit", `${name}.c`);
  execFileSync("cc", ["-O2", "-Wall", "-o", program, source, ...libraries], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  fs.writeFileSync(planPlace, plan);
  return threads.map((count) => ({
    label: `a C program, ${count === 1 ? "one thread" : `${count} threads`}`,
    command: { argv: [program, planPlace, String(count), ...rest], env: baseEnvironment() },
  }));
}
