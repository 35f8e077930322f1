/** Virtual environments for the Python package, in .cache, with what a requirements file pins. */
import * as fs from "node:fs";
import * as path from "node:path";
import { capture, run } from "./process.ts";
import { projectDir } from "./project.ts";

/** The Python package's project. */
export const pythonDir = path.join(projectDir, "python");

const installTimeoutMs = 600 * 1000;
const askTimeoutMs = 30 * 1000;

/** Which tools an environment has: those of requirements-<tools>.txt. */
export type Tools = "dev" | "test";

/** What builds, checks and tests the package. @returns the path of its python */
export function devPython(): Promise<string> {
  return makePython("python3", { name: "python-venv", tools: "dev" });
}

/**
 * Makes .cache/<name> with `python`, unless it is there with these very requirements.
 * @returns the path of its python.
 * @throws {Error} where Python or pip fails
 */
export async function makePython(python: string, options: { name: string; tools: Tools }): Promise<string> {
  const venv = path.join(projectDir, ".cache", options.name);
  const made = path.join(venv, "bin", "python3");
  const requirements = path.join(pythonDir, `requirements-${options.tools}.txt`);
  const wanted = `${await describePython(python)}\n${fs.readFileSync(requirements, "utf8")}`;
  // Written last, so that an interrupted installation is done again.
  const done = path.join(venv, "installed.txt");
  if (fs.existsSync(done) && fs.readFileSync(done, "utf8") === wanted) return made;
  console.log(`Installing ${path.basename(requirements)} into ${venv} …`);
  await run([python, "-m", "venv", "--clear", venv], { timeoutMs: installTimeoutMs });
  const pip = [made, "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"];
  await run([...pip, "--require-hashes", "--requirement", requirements], { timeoutMs: installTimeoutMs });
  fs.writeFileSync(done, wanted);
  return made;
}

/** @returns "3.12", or undefined where it does not run. */
export async function minorVersion(python: string): Promise<string | undefined> {
  try {
    return (await describePython(python)).split(" ")[0];
  } catch {
    return undefined;
  }
}

/** @returns its version and where it lies: "3.12 /usr" */
async function describePython(python: string): Promise<string> {
  const ask = 'import sys; print("%d.%d" % sys.version_info[:2], sys.base_prefix)';
  const { code, stdout, stderr } = await capture([python, "-c", ask], { timeoutMs: askTimeoutMs });
  if (code !== 0) throw new Error(`Cannot use ${python} as it ended with exit status ${code}: ${stderr}`);
  return stdout.trim();
}
