/** A fleet of pods that share one store, each with directories of its own, on which the whole program is run. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import type { Report } from "../../lib/status.ts";
import type { Target } from "../targets.ts";

/** It only ends what hangs: a save that run makes has the least of the CPU, and on a busy machine takes long. */
const runTimeoutMs = 200_000;

/** For the tests themselves: several runs. */
export const testTimeoutMs = 400_000;

export interface Pod {
  readonly home: string;
  readonly torchDir: string;
  readonly vllmDir: string;
  /** All that the program sees of an environment. */
  readonly env: Readonly<Record<string, string>>;
}

export class Fleet implements Disposable {
  /** Below the temporary directory, whose own prefix every path rule allows. */
  readonly base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "b10-e2e-")));
  readonly share = path.join(this.base, "share");
  readonly storeDir = path.join(this.share, "compile_cache");

  constructor() {
    fs.mkdirSync(this.share);
  }

  /** @param settings win over those that every pod has. */
  pod(name: string, settings: Readonly<Record<string, string>> = {}): Pod {
    const home = path.join(this.base, name, "home");
    const torchDir = path.join(this.base, name, "torchinductor");
    const vllmDir = path.join(this.base, name, "vllm");
    fs.mkdirSync(home, { recursive: true });
    const env = {
      // No Python but the system's, if it has one: its torch would be part of the key.
      PATH: "/usr/bin:/bin",
      HOME: home,
      // The runtimes keep what they have transpiled: Deno where it always does, Bun nowhere.
      DENO_DIR: denoDir(),
      BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0",
      NO_COLOR: "1",
      TORCHINDUCTOR_CACHE_DIR: torchDir,
      VLLM_CACHE_ROOT: vllmDir,
      B10FS_CACHE_DIR: this.storeDir,
      LOCAL_WORK_DIR: path.join(this.base, name, "work"),
      // A killed saver holds up the next one for this long.
      CLEANUP_LOCK_TIMEOUT_SECONDS: "1",
      // Nothing here compiles for long.
      B10_CACHE_QUIET_S: "0.2",
      B10_CACHE_WATCH_INTERVAL_S: "0.2",
      // macOS keeps its temporary directories elsewhere.
      B10_CACHE_ALLOWED_PREFIXES: this.base,
      ...settings,
    };
    return { home, torchDir, vllmDir, env };
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.base, { recursive: true, force: true });
  }
}

function denoDir(): string {
  const cacheDir = process.platform === "darwin" ? "Library/Caches/deno" : ".cache/deno";
  return process.env["DENO_DIR"] ?? path.join(os.homedir(), cacheDir);
}

/** The pod with a Python that has torch, as far as its files tell. */
export function withTorch(pod: Pod, version = "2.13.0+cpu"): Pod {
  const venv = path.join(pod.home, "venv");
  execFileSync("python3", ["-m", "venv", "--without-pip", venv]);
  const [python = ""] = fs.readdirSync(path.join(venv, "lib"));
  const torch = path.join(venv, "lib", python, "site-packages", "torch");
  fs.mkdirSync(torch, { recursive: true });
  fs.writeFileSync(path.join(torch, "version.py"), `__version__ = '${version}'\ncuda = None\nhip = None\n`);
  return { ...pod, env: { ...pod.env, B10_CACHE_PYTHON: path.join(venv, "bin", "python3") } };
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly ended: Promise<Ended>;
  /** What it has written to stderr by now. */
  said(): string;
  /** Sends a signal, if the process is still there. */
  kill(signal: NodeJS.Signals): void;
}

export interface RunOptions {
  /** Shell text that starts the program as "$@". */
  readonly shell?: string;
  readonly cwd?: string;
}

/** Starts the program on a pod. Its stdin is empty. */
export function start(target: Target, pod: Pod, args: readonly string[], options: RunOptions = {}): Running {
  const words = [...target.command, ...args];
  const [command = "", ...rest] = options.shell === undefined
    ? words
    : ["/bin/sh", "-c", options.shell, "sh", ...words];
  const child = spawn(command, rest, {
    env: pod.env,
    cwd: options.cwd ?? pod.home,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const out = outputOf(child);
  return { ended: endOf(child, out), said: () => out.stderr, kill: (signal) => sendSignal(child, signal) };
}

/** Not by the child's own kill(): after that Deno reports the signal even where the child caught it. */
function sendSignal({ pid, exitCode }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined || exitCode !== null) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

interface Output {
  stdout: string;
  stderr: string;
}

function outputOf(child: ChildProcess): Output {
  const out: Output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => out[name] += text);
  }
  return out;
}

function endOf(child: ChildProcess, out: Output): Promise<Ended> {
  const deadline = setTimeout(() => child.kill("SIGKILL"), runTimeoutMs);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(deadline);
      resolve({ code: code ?? 128 + (signal ? os.constants.signals[signal] : 0), ...out });
    });
  });
}

export function run(
  target: Target,
  pod: Pod,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  return start(target, pod, args, options).ended;
}

/** The one object that `--json` prints: stdout holds nothing else. */
export function reportOf({ stdout, stderr }: Ended): Report {
  const lines = stdout.split("\n");
  assert.equal(lines.length, 2, `one line on stdout: ${JSON.stringify(stdout)}; stderr: ${stderr}`);
  return JSON.parse(lines[0] ?? "");
}

/** Runs an operation with `--json` and checks that its exit status is the one its result stands for. */
export async function operate(target: Target, pod: Pod, args: readonly string[]): Promise<Report> {
  const ended = await run(target, pod, [...args, "--json"]);
  const report = reportOf(ended);
  assert.equal(ended.code, report.status === "ERROR" ? 1 : 0, ended.stderr);
  return report;
}

/** How old the files of a tree are made, so that no save waits to see whether their writer is done. */
const settledS = 60;

/** A small compile cache: some files, some directories, one file that is empty, one that cannot be compressed. */
export function writeTree(dir: string, label = "pod"): void {
  const past = Date.now() / 1000 - settledS;
  const files: Readonly<Record<string, string | Uint8Array>> = {
    [`aa/${label}.py`]: `# kernel of ${label}\n`.repeat(40),
    [`aa/${label}.so`]: crypto.getRandomValues(new Uint8Array(3_000)),
    [`fxgraph/bb/${label}/entry`]: `graph of ${label}`,
    [`triton/0/${label}/__grp__kernel.json`]: "{}",
    [`triton/0/${label}/empty`]: "",
  };
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(dir, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
    fs.utimesSync(file, past, past);
  }
}

const largeTreeFiles = 300;
const largeTreeFileBytes = 32 * 1024;

/** About 10 MB, so that a save and a load take a moment. */
export function writeLargeTree(dir: string): void {
  fs.mkdirSync(dir, { recursive: true });
  const past = Date.now() / 1000 - settledS;
  for (let number = 0; number < largeTreeFiles; number++) {
    const file = path.join(dir, `kernel-${number}.so`);
    fs.writeFileSync(file, crypto.getRandomValues(new Uint8Array(largeTreeFileBytes)));
    fs.utimesSync(file, past, past);
  }
}

/**
 * Every file and directory with its times and its inode: the same before and after where nothing was written, not
 * even a file that was removed again.
 */
export function stamps(dir: string): string[] {
  const names = fs.existsSync(dir) ? fs.readdirSync(dir, { recursive: true, encoding: "utf8" }).sort() : [];
  return ["", ...names].map((name) => {
    const stat = fs.lstatSync(path.join(dir, name), { bigint: true, throwIfNoEntry: false });
    return `${name}: ${stat?.ino} ${stat?.size} ${stat?.mtimeNs} ${stat?.ctimeNs}`;
  });
}

/** The files of the store whose names end so, whole paths, sorted. */
export function storeFiles(fleet: Fleet, ending: string): string[] {
  return fs.readdirSync(fleet.storeDir, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending)).sort().map((name) => path.join(fleet.storeDir, name));
}
