/** A pod on which a vLLM server is started: directories of its own, and nothing of this shell's settings. */
import * as fs from "node:fs";
import { createServer } from "node:net";
import * as path from "node:path";
import { binary } from "../project.ts";

export interface Vllm {
  /** Holds venv/, tiny/ and tiny2/. */
  readonly dir: string;
}

export interface Pod {
  readonly name: string;
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface PodOptions {
  readonly vllm: Vllm;
  /** Below which everything of the pod lies. */
  readonly base: string;
  readonly storeDir: string;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Its name is its user's too: torch's default directory, /tmp/torchinductor_<user>, is another one on each. */
export function makePod(name: string, { vllm, base, storeDir, settings = {} }: PodOptions): Pod {
  const dir = path.join(base, name);
  const home = path.join(dir, "home");
  fs.mkdirSync(path.join(dir, "work"), { recursive: true });
  fs.mkdirSync(home);
  const user = `${path.basename(base)}-${name}`;
  const env = {
    PATH: `${path.join(vllm.dir, "venv", "bin")}:${path.dirname(binary)}:/usr/local/bin:/usr/bin:/bin`,
    HOME: home,
    USER: user,
    LOGNAME: user,
    B10FS_CACHE_DIR: storeDir,
    LOCAL_WORK_DIR: path.join(dir, "work"),
    B10_TRANSFER_INTERVAL_S: "0.2",
    VLLM_CPU_KVCACHE_SPACE: "1",
    HF_HUB_OFFLINE: "1",
    VLLM_NO_USAGE_STATS: "1",
    NO_COLOR: "1",
    ...settings,
  };
  return { name, home, env };
}

/** Where torch keeps its cache on this pod. */
export function torchDirOf({ env }: Pod): string {
  return env["TORCHINDUCTOR_CACHE_DIR"] ?? `/tmp/torchinductor_${env["USER"]}`;
}

export function vllmDirOf({ env, home }: Pod): string {
  return env["VLLM_CACHE_ROOT"] ?? path.join(home, ".cache", "vllm");
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
