/**
 * wheel.ts [--all]: builds the Python wheel of this machine's binary, dist/b10-compile-cache, or with --all one of each
 * released binary that a wheel is for. The binaries are built before: `deno task build`, with --all as well.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { version } from "../lib/version.ts";
import { writeChecksums } from "./checksums.ts";
import { capture, run } from "./process.ts";
import { binary, distDir } from "./project.ts";
import { devPython, pythonDir } from "./python_env.ts";

/**
 * Target of build.ts -> tag of the platform. No tag tells processors apart, so x64 on Linux gets the binary that runs on
 * all of them; Bun's own binaries need glibc 2.17, musl 1.2 with libstdc++, macOS 13.
 */
const platformTags = {
  "linux-x64-baseline": "manylinux_2_17_x86_64",
  "linux-arm64": "manylinux_2_17_aarch64",
  "linux-x64-musl": "musllinux_1_2_x86_64",
  "linux-arm64-musl": "musllinux_1_2_aarch64",
  "darwin-x64": "macosx_13_0_x86_64",
  "darwin-arm64": "macosx_13_0_arm64",
} as const;

type Target = keyof typeof platformTags;

const buildTimeoutMs = 300 * 1000;
const askTimeoutMs = 30 * 1000;

function machineTarget(): Target {
  const { platform, arch } = process;
  const musl = platform === "linux" && fs.readdirSync("/lib").some((name) => name.startsWith("ld-musl-"));
  const name = `${platform}-${arch}${musl ? "-musl" : ""}`;
  const target = name === "linux-x64" ? "linux-x64-baseline" : name;
  if (target in platformTags) return target as Target;
  throw new Error(
    `Cannot build a wheel for ${name} as there are wheels only for ${Object.keys(platformTags).join(", ")}`,
  );
}

/** @throws {Error} where it is not there */
function requireBinary(file: string): void {
  if (!fs.existsSync(file)) {
    throw new Error(
      `Cannot build a wheel as ${file} is not there: run "deno task build", with --all for --all`,
    );
  }
}

/** @throws {Error} where `binary` was built of another version: the wheel would say one thing and do another */
async function requireThisVersion(): Promise<void> {
  const { stdout } = await capture([binary, "--version"], { timeoutMs: askTimeoutMs });
  if (stdout.trim() !== version) {
    throw new Error(
      `Cannot build a wheel of version ${version} as ${binary} says "${stdout.trim()}": run "deno task build"`,
    );
  }
}

async function buildWheel(python: string, about: { binary: string; target: Target }): Promise<void> {
  const dir = fs.mkdtempSync(path.join(distDir, ".wheel-"));
  try {
    await run([python, "-m", "hatchling", "build", "--target", "wheel", "--directory", dir], {
      timeoutMs: buildTimeoutMs,
      cwd: pythonDir,
      env: {
        ...process.env,
        B10_WHEEL_BINARY: about.binary,
        B10_WHEEL_PLATFORM: platformTags[about.target],
      },
    });
    const name = `b10_transfer-${version}-py3-none-${platformTags[about.target]}.whl`;
    // Fails where the package has another version than package.json.
    fs.renameSync(path.join(dir, name), path.join(distDir, name));
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

const python = await devPython();
if (process.argv.includes("--all")) {
  const targets = Object.keys(platformTags) as Target[];
  for (const target of targets) requireBinary(`${binary}-${target}`);
  for (const target of targets) await buildWheel(python, { binary: `${binary}-${target}`, target });
} else {
  requireBinary(binary);
  await requireThisVersion();
  await buildWheel(python, { binary, target: machineTarget() });
}
writeChecksums();
