/**
 * compile.ts [TARGET…]: compiles the program into one binary with Deno, dist/b10-compile-cache-deno for this
 * machine, or dist/b10-compile-cache-deno-<target> for each target that is named.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { denoPermissionFlags } from "../lib/system/permissions.ts";
import { writeChecksums } from "./checksums.ts";
import { run } from "./process.ts";
import { binary, bunExecutable, distDir, projectDir } from "./project.ts";

const targets: Readonly<Record<string, string>> = {
  "linux-x64": "x86_64-unknown-linux-gnu",
  "linux-arm64": "aarch64-unknown-linux-gnu",
  "darwin-x64": "x86_64-apple-darwin",
  "darwin-arm64": "aarch64-apple-darwin",
};

// A runtime of 40 MB may have to be downloaded; without a network Deno would go on trying.
const compileTimeoutMs = 180 * 1000;

const withoutRuntime =
  `deno compile made no binary. It puts the program into Deno's "denort" runtime, which Deno
downloads from its own site (dl.deno.land) once for each version and target. On a machine that cannot reach that site,
take denort of Deno's own version from elsewhere, set DENORT_BIN to its path, and run this again. For a binary without
denort use "deno task build".`;

const bundleTimeoutMs = 60 * 1000;

/** One file with all modules: from sources, deno compile would embed the whole of node_modules, 270 MB. */
async function bundle(file: string): Promise<void> {
  await run([bunExecutable, "build", "--target=node", "--sourcemap=inline", "main.ts", "--outfile", file], {
    timeoutMs: bundleTimeoutMs,
    cwd: projectDir,
  });
}

async function compile(outfile: string, options: { target?: string } = {}): Promise<void> {
  fs.mkdirSync(distDir, { recursive: true });
  const dir = fs.mkdtempSync(path.join(distDir, ".compile-"));
  try {
    const script = path.join(dir, "main.js");
    await bundle(script);
    const fresh = path.join(dir, path.basename(outfile));
    const target = options.target ? ["--target", options.target] : [];
    const flags = [
      "--quiet",
      "--no-config",
      "--no-lock",
      ...denoPermissionFlags,
      ...target,
      "--output",
      fresh,
    ];
    await run(["deno", "compile", ...flags, script], { timeoutMs: compileTimeoutMs, cwd: projectDir })
      .catch((cause: unknown) => {
        throw new Error(withoutRuntime, { cause });
      });
    fs.renameSync(fresh, outfile);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

async function compileAll(names: readonly string[]): Promise<void> {
  if (names.length === 0) await compile(`${binary}-deno`);
  for (const name of names) {
    const target = targets[name];
    if (target === undefined) {
      throw new Error(`Cannot compile for "${name}" as the targets are ${Object.keys(targets).join(", ")}`);
    }
    await compile(`${binary}-deno-${name}`, { target });
  }
}

try {
  await compileAll(process.argv.slice(2));
  writeChecksums();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
