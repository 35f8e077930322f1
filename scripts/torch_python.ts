/** A Python with torch, for what needs the real one. */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { run } from "./process.ts";
import { projectDir } from "./project.ts";

const packages = ["torch==2.13.0", "numpy", "transformers"];
const installTimeoutMs = 900 * 1000;

/**
 * The Python that B10_TORCH_PYTHON names, else one with torch that is made in .cache/torch-venv (about 1 GB).
 * @throws {Error} where Python or pip fails
 */
export async function pythonWithTorch(): Promise<string> {
  const given = process.env["B10_TORCH_PYTHON"];
  if (given) return given;
  const venv = path.join(projectDir, ".cache", "torch-venv");
  const python = path.join(venv, "bin", "python3");
  // Written last, so that an interrupted installation is done again.
  const done = path.join(venv, "installed.txt");
  if (!fs.existsSync(done)) {
    console.log(`Installing ${packages.join(", ")} into ${venv} …`);
    await run(["python3", "-m", "venv", "--clear", venv], { timeoutMs: installTimeoutMs });
    await run([python, "-m", "pip", "install", "--quiet", ...packages], { timeoutMs: installTimeoutMs });
    fs.writeFileSync(done, packages.join("\n"));
  }
  return python;
}
