/** Pods that share one store, and both programs to run on them. */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import type { PeerPython } from "../../../scripts/peer_python.ts";
import { capture, type Finished } from "../../../scripts/process.ts";
import { type Result, resultOf } from "../../../scripts/program.ts";
import { type PeerOptions, PeerProcess, type PeerRun } from "../peer.ts";

/** A user without any rights. */
export const otherUid = 65534;

const operationTimeoutMs = 120 * 1000;

export type Settings = Readonly<Record<string, string>>;

export interface Pod {
  readonly dir: string;
  readonly torchDir: string;
  /** All settings of both programs. */
  readonly env: Settings;
}

/** The pod without some of its settings. */
export function without(pod: Pod, names: readonly string[]): Pod {
  return {
    ...pod,
    env: Object.fromEntries(Object.entries(pod.env).filter(([name]) => !names.includes(name))),
  };
}

export interface Tools {
  readonly python: PeerPython;
  /** The binary under test. */
  readonly binary: string;
}

export interface Run {
  /** Its seconds, from outside. */
  readonly seconds: number;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What it printed of its operation, if it did. */
  readonly result: Result | undefined;
}

export interface OurOptions {
  readonly settings?: Settings;
  readonly uid?: number;
  /** A command that starts the binary, as its last arguments. */
  readonly prefix?: readonly string[];
  readonly onStart?: (pid: number) => void;
}

const running = new Set<number>();

/** Ends what still runs of the binary, stopped or not. */
export function killOurs(): void {
  for (const pid of running) process.kill(pid, "SIGKILL");
  running.clear();
}

export class Stage {
  readonly tools: Tools;
  readonly dir: string;
  readonly storeDir: string;
  #processes = 0;

  /** @param dir must be fresh. */
  constructor(dir: string, tools: Tools) {
    this.dir = dir;
    this.tools = tools;
    this.storeDir = path.join(dir, "share", "compile_cache");
    fs.mkdirSync(this.storeDir, { recursive: true });
  }

  /** A stage with a store of its own, for one more try. */
  another(name: string): Stage {
    return new Stage(path.join(this.dir, name), this.tools);
  }

  pod(name: string, settings: Settings = {}): Pod {
    const dir = path.join(this.dir, name);
    const torchDir = path.join(dir, "torchinductor");
    for (const made of ["home", "work", "torchinductor"]) {
      fs.mkdirSync(path.join(dir, made), { recursive: true });
    }
    const env = {
      PATH: "/usr/bin:/bin:/usr/sbin:/sbin",
      HOME: path.join(dir, "home"),
      USER: "pod",
      BASETEN_FS_ENABLED: "1",
      TORCHINDUCTOR_CACHE_DIR: torchDir,
      VLLM_CACHE_ROOT: torchDir,
      B10FS_CACHE_DIR: this.storeDir,
      LOCAL_WORK_DIR: path.join(dir, "work"),
      B10_CACHE_PYTHON: this.tools.python.python,
      // Without these b10-transfer wants 100 GB.
      MAX_CONCURRENT_SAVES: "1",
      MAX_CACHE_SIZE_MB: "200",
      MIN_B10FS_SPACE_MB: "1",
      MIN_LOCAL_SPACE_MB: "1",
      ...settings,
    };
    return { dir, torchDir, env };
  }

  /** Starts operations of b10-transfer in one process. */
  startPeer(pod: Pod, operations: readonly string[], options: Omit<PeerOptions, "env"> = {}): PeerProcess {
    const dir = path.join(this.dir, "processes", String(++this.#processes));
    const { python } = this.tools;
    return new PeerProcess({ python, dir, operations, options: { ...options, env: pod.env } });
  }

  peer(pod: Pod, operations: readonly string[], options: Omit<PeerOptions, "env"> = {}): Promise<PeerRun> {
    return this.startPeer(pod, operations, options).results();
  }

  /** @returns the statuses of the operations. */
  async peerStatuses(pod: Pod, operations: readonly string[]): Promise<string[]> {
    return (await this.peer(pod, operations)).results.map(({ status }) => status);
  }

  /** The command that `b10-transfer` installs, with its exit status. */
  peerCommand(pod: Pod, args: readonly string[]): Promise<Finished> {
    const { python, packages, command } = this.tools.python;
    const env = { ...pod.env, PYTHONPATH: packages };
    return capture([python, command, ...args], { timeoutMs: operationTimeoutMs, env });
  }

  /** Runs one command of the binary to its end, whatever that is. */
  async ours(pod: Pod, args: readonly string[], options: OurOptions = {}): Promise<Run> {
    const { settings, uid, prefix = [], onStart } = options;
    let pid = 0;
    const identity = uid === undefined ? [] : this.#actAs(uid);
    const finished = await capture(
      [...prefix, ...identity, this.tools.binary, ...args, "--json", "--quiet"],
      {
        timeoutMs: operationTimeoutMs,
        env: { ...pod.env, ...settings },
        onStart: (started) => {
          pid = started;
          running.add(pid);
          onStart?.(pid);
        },
      },
    ).finally(() => running.delete(pid));
    const { code, stdout, stderr, elapsedMs } = finished;
    const result = stdout.startsWith("{") ? resultOf(finished) : undefined;
    return { code, stdout, stderr, result, seconds: elapsedMs / 1000 };
  }

  #actAs(uid: number): string[] {
    const become =
      "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1])); " +
      "os.execv(sys.argv[2], sys.argv[2:])";
    return [this.tools.python.python, "-c", become, String(uid)];
  }

  /** b10-transfer's archive of these pods. @throws {Error} where there is not exactly one */
  archive(): string {
    const names = fs.readdirSync(this.storeDir).filter((name) => name.endsWith(".latest.tar.gz"));
    const [name] = names;
    if (!name || names.length > 1) {
      throw new Error(`Expected one archive in ${this.storeDir}, but there are ${names.length}`);
    }
    return path.join(this.storeDir, name);
  }

  /** The files of our store whose names contain this, whole paths. */
  storeFiles(part: string): string[] {
    return fs.readdirSync(this.storeDir, { recursive: true, encoding: "utf8" })
      .map((name) => path.join(this.storeDir, name))
      .filter((file) => file.includes(part) && fs.statSync(file, { throwIfNoEntry: false })?.isFile());
  }
}

/** "SUCCESS", "ERROR bad_layer", or how it ended without a status. */
export function statusOf({ code, result }: Run): string {
  if (!result) return `exit ${code}`;
  return result.code ? `${result.status} ${result.code}` : result.status;
}

export async function isSoundGzip(file: string): Promise<boolean> {
  return (await capture(["gzip", "-t", file], { timeoutMs: operationTimeoutMs })).code === 0;
}

/** Lets another user write there. */
export function giveTo(uid: number, pod: Pod): void {
  for (const name of ["", ...fs.readdirSync(pod.dir, { recursive: true, encoding: "utf8" })]) {
    fs.chownSync(path.join(pod.dir, name), uid, uid);
  }
}
