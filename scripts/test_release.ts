/**
 * test_release.ts DIR NAME: checks the binary DIR/NAME against DIR/SHA256SUMS and runs the end-to-end tests on it,
 * with the runtime that runs this script.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { run } from "./process.ts";
import { projectDir } from "./project.ts";

const testTimeoutMs = 600 * 1000;

function checkSum(dir: string, name: string): void {
  const sums = fs.readFileSync(path.join(dir, "SHA256SUMS"), "utf8").split("\n");
  const sha256 = createHash("sha256").update(fs.readFileSync(path.join(dir, name))).digest("hex");
  if (!sums.includes(`${sha256}  ${name}`)) {
    throw new Error(`Cannot test "${name}" as its SHA-256 ${sha256} is not the one in SHA256SUMS`);
  }
}

const [dir = "dist", name = "b10-compile-cache"] = process.argv.slice(2);
checkSum(dir, name);
const binary = path.resolve(dir, name);
// Downloads do not keep the permission to execute.
fs.chmodSync(binary, 0o755);
const tests = process.versions["bun"]
  ? [process.execPath, "test", "./tests/e2e"]
  : ["deno", "task", "test:e2e"];
await run(tests, {
  timeoutMs: testTimeoutMs,
  cwd: projectDir,
  env: { ...process.env, B10_TEST_TARGETS: "binary", B10_TEST_BINARY: binary },
});
