/**
 * b10-transfer 0.4.1, run as a user's process runs it. It takes its share below /cache/model only, so a tmpfs is
 * mounted at /cache for the time of the comparison: that needs root, and a machine without a /cache of its own.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { capture, run } from "../scripts/process.ts";
import { projectDir } from "../scripts/project.ts";
import type { Contender } from "./contender.ts";

const cacheDir = "/cache";
const shareDir = `${cacheDir}/model/compile_cache`;
const workDir = `${cacheDir}/work`;
const mountTimeoutMs = 10 * 1000;
const operationTimeoutMs = 300 * 1000;

const venv = process.env["PEER_VENV"];

/** The Python that has b10-transfer, where PEER_VENV names its environment. */
export const peerPython = venv ? path.join(venv, "bin", "python3") : undefined;

/** Why the peer cannot take part, in words; undefined if it can. */
export function peerProblem(): string | undefined {
  if (!process.env["PEER_VENV"]) {
    return "PEER_VENV does not name a Python environment with b10-transfer==0.4.1";
  }
  if (process.getuid?.() !== 0) return "mounting a tmpfs at /cache needs root";
  if (fs.existsSync(cacheDir)) return "/cache is there already";
  return undefined;
}

/** A tmpfs at /cache until it is disposed of. */
export async function mountCache(): Promise<AsyncDisposable> {
  fs.mkdirSync(cacheDir);
  await run(["mount", "-t", "tmpfs", "tmpfs", cacheDir], { timeoutMs: mountTimeoutMs });
  return {
    [Symbol.asyncDispose]: async () => {
      await run(["umount", cacheDir], { timeoutMs: mountTimeoutMs });
      fs.rmdirSync(cacheDir);
    },
  };
}

/** Saves `torchDir`, or loads into it; both lie below /cache. */
export function peer(operation: "load" | "save", torchDir: string): Contender {
  const emptied = operation === "load" ? torchDir : shareDir;
  return {
    name: "b10-transfer 0.4.1",
    prepare: () => {
      fs.rmSync(emptied, { recursive: true, force: true });
      for (const dir of [shareDir, workDir, torchDir]) fs.mkdirSync(dir, { recursive: true });
    },
    run: () => operate(operation, torchDir),
  };
}

async function operate(operation: "load" | "save", torchDir: string): Promise<number> {
  const done = await capture([peerPython ?? "", path.join(projectDir, "bench", "peer.py"), operation], {
    timeoutMs: operationTimeoutMs,
    env: {
      ...process.env,
      BASETEN_FS_ENABLED: "1",
      TORCHINDUCTOR_CACHE_DIR: torchDir,
      B10FS_CACHE_DIR: shareDir,
      LOCAL_WORK_DIR: workDir,
      MIN_B10FS_SPACE_MB: "1",
      MIN_LOCAL_SPACE_MB: "1",
      MAX_CONCURRENT_SAVES: "1",
    },
  });
  if (done.code !== 0) throw new Error(`b10-transfer's ${operation} failed: ${done.stdout}${done.stderr}`);
  return done.elapsedMs;
}
