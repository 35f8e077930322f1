/**
 * build.ts [--all]: compiles the program into one binary with Bun, dist/b10-compile-cache for this machine, or
 * with --all one for every released target, dist/b10-compile-cache-<target>.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { writeChecksums } from "./checksums.ts";
import { run } from "./process.ts";
import { binary, bunExecutable, distDir, projectDir, threadSources } from "./project.ts";

const releasedTargets = [
  "linux-x64",
  "linux-x64-baseline",
  "linux-arm64",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
];

// The runtimes of other targets come from the npm registry.
const buildTimeoutMs = 300 * 1000;

const flags = [
  "--compile",
  // Names and lines of the sources in every stack trace; the size is Bun's own either way.
  "--no-minify",
  "--sourcemap=inline",
  // Parsed ahead of time, as the program lives for a tenth of a second: start-up 0.03 s instead of 0.06 s.
  "--bytecode",
  "--format=esm",
  // A binary takes no settings from files that happen to lie in the working directory.
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];

async function build(outfile: string, options: { target?: string } = {}): Promise<void> {
  fs.mkdirSync(distDir, { recursive: true });
  // Built beside its place and renamed, as the old binary may be running.
  const dir = fs.mkdtempSync(path.join(distDir, ".build-"));
  try {
    const fresh = path.join(dir, path.basename(outfile));
    const target = options.target ? [`--target=bun-${options.target}`] : [];
    await run(
      [bunExecutable, "build", ...flags, ...target, "main.ts", ...threadSources, "--outfile", fresh],
      {
        timeoutMs: buildTimeoutMs,
        cwd: projectDir,
      },
    );
    fs.renameSync(fresh, outfile);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

if (process.argv.includes("--all")) {
  for (const target of releasedTargets) await build(`${binary}-${target}`, { target });
} else {
  await build(binary);
}
writeChecksums();
