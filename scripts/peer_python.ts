/** The program that this one replaces, b10-transfer 0.4.1, on a Python with torch. */
import * as fs from "node:fs";
import * as path from "node:path";
import { run } from "./process.ts";
import { projectDir } from "./project.ts";
import { pythonWithTorch } from "./torch_python.ts";

const requirements = path.join(projectDir, "tests", "interop", "requirements-peer.txt");
const installTimeoutMs = 300 * 1000;

export interface PeerPython {
  /** A python3 that has torch. */
  readonly python: string;
  /** Where b10-transfer lies: for PYTHONPATH, before anything else. */
  readonly packages: string;
  /** b10-transfer's own command, a Python script. */
  readonly command: string;
}

/**
 * Installs b10-transfer into .cache/peer, unless it is there, and torch as pythonWithTorch() does.
 * @throws {Error} where Python or pip fails
 */
export async function peerPython(): Promise<PeerPython> {
  const python = await pythonWithTorch();
  const packages = path.join(projectDir, ".cache", "peer");
  const wanted = fs.readFileSync(requirements, "utf8");
  // Written last, so that an interrupted installation is done again.
  const done = path.join(packages, "installed.txt");
  if (!fs.existsSync(done) || fs.readFileSync(done, "utf8") !== wanted) {
    console.log(`Installing ${path.basename(requirements)} into ${packages} …`);
    fs.rmSync(packages, { recursive: true, force: true });
    // Without what it depends on, which is torch.
    const options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"];
    const place = ["--target", packages, "--requirement", requirements];
    await run([python, "-m", "pip", "install", ...options, ...place], { timeoutMs: installTimeoutMs });
    fs.writeFileSync(done, wanted);
  }
  return { python, packages, command: path.join(packages, "bin", "b10-compile-cache") };
}
