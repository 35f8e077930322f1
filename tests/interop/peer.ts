/**
 * b10-transfer 0.4.1 in real processes: a place for its share, and its operations. It takes its share below /cache/model
 * only, and writes its archives below /cache or /app only.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import * as v from "valibot";
import type { PeerPython } from "../../scripts/peer_python.ts";
import { capture, type Finished } from "../../scripts/process.ts";
import { projectDir } from "../../scripts/project.ts";
import { waitFor } from "./faults/wait.ts";

const cacheDir = "/cache";
const shareParent = `${cacheDir}/model`;

/** Says that /cache itself is of these tests, and is to be removed. */
const marker = `${cacheDir}/.b10-interop`;
const entries = 3;
const driver = path.join(projectDir, "tests", "interop", "peer_driver.py");
const operationTimeoutMs = 120 * 1000;

/** Much more than all of it ever takes; memory is used only for what is there. */
const memory = "size=2g";

export interface Place extends Disposable {
  /** A fresh directory below /cache/model. */
  readonly dir: string;
}

/**
 * Makes /cache and /cache/model where they are not there, in memory if this user may mount; whoever leaves last removes
 * them.
 * @throws {Error} where this user may not write there
 */
export function makePlace(): Place {
  for (let tried = 1;; tried++) {
    try {
      return enterPlace();
    } catch (error) {
      // Another run was just leaving.
      if (codeOf(error) === "ENOENT" && tried < entries) continue;
      const message = error instanceof Error ? error.message : String(error);
      const need = `it needs a directory below ${shareParent}, as root or where that is writable`;
      throw new Error(`Cannot run b10-transfer as ${need}: ${message}`, { cause: error });
    }
  }
}

function enterPlace(): Place {
  if (makeDir(cacheDir)) {
    // Where that fails, a directory on the disk does as well.
    succeeds("mount", ["-t", "tmpfs", "-o", memory, "tmpfs", cacheDir]);
    fs.writeFileSync(marker, "");
  }
  const isOurParent = makeDir(shareParent);
  const dir = fs.mkdtempSync(path.join(shareParent, "b10-"));
  // Other users load from it.
  fs.chmodSync(dir, 0o755);
  return { dir, [Symbol.dispose]: () => leavePlace(dir, { isOurParent }) };
}

function leavePlace(dir: string, { isOurParent }: { isOurParent: boolean }): void {
  fs.rmSync(dir, { recursive: true, force: true });
  const isOurCache = fs.existsSync(marker);
  // Others are still there where it is not empty.
  if (!(isOurCache || isOurParent) || !removeEmpty(shareParent) || !isOurCache) return;
  // A user who may not unmount leaves what another made.
  if (isMounted(cacheDir) && !succeeds("umount", ["--lazy", cacheDir])) return;
  fs.rmSync(marker, { force: true });
  removeEmpty(cacheDir);
}

/** @returns whether it was not there. */
function makeDir(dir: string): boolean {
  try {
    fs.mkdirSync(dir);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** @returns whether it is gone by this. */
function removeEmpty(dir: string): boolean {
  try {
    fs.rmdirSync(dir);
    return true;
  } catch (error) {
    if (["ENOTEMPTY", "ENOENT", "EBUSY"].includes(codeOf(error) ?? "")) return false;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

function isMounted(dir: string): boolean {
  return fs.statSync(dir).dev !== fs.statSync(path.dirname(dir)).dev;
}

const runSchema = v.object({
  import_s: v.number(),
  results: v.array(v.object({ operation: v.string(), status: v.string(), seconds: v.number() })),
});

export interface PeerRun extends v.InferOutput<typeof runSchema> {
  /** What it logged. */
  readonly stderr: string;
}

/** Where a saver stops itself: see peer_driver.py. */
export type StopPoint = "before-lock" | "half-copied" | "copied";

export interface PeerOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Wait after the import until `go()`. */
  readonly hold?: boolean;
  readonly stop?: StopPoint;
  readonly uid?: number;
  readonly torchVersion?: string;
  readonly privateTmp?: readonly string[];
  /** Remove no directory: only note which would be. */
  readonly spare?: boolean;
  /** A command that starts the process, as its last arguments. */
  readonly prefix?: readonly string[];
}

const families = new Set<number>();

/** Ends every process of b10-transfer that is left, stopped ones too. */
export function killPeers(): void {
  for (const pid of families) signalFamily(pid, "SIGKILL");
  families.clear();
}

export class PeerProcess {
  readonly #dir: string;
  readonly #finished: Promise<Finished>;
  #pid = 0;

  /** @param dir must be fresh, and is for this process alone. */
  constructor({ python, dir, operations, options }: {
    python: PeerPython;
    dir: string;
    operations: readonly string[];
    options: PeerOptions;
  }) {
    this.#dir = dir;
    fs.mkdirSync(dir, { recursive: true });
    fs.chmodSync(dir, 0o1777);
    const argv = [...(options.prefix ?? []), python.python, driver, ...flagsOf(dir, options), ...operations];
    this.#finished = capture(argv, {
      timeoutMs: operationTimeoutMs,
      env: { ...options.env, PYTHONPATH: python.packages },
      onStart: (pid) => {
        this.#pid = pid;
        families.add(pid);
      },
    });
  }

  get pid(): number {
    return this.#pid;
  }

  /** Waits until b10-transfer is imported; only with `hold`. */
  async ready(): Promise<void> {
    await this.#told("ready");
  }

  go(): void {
    fs.writeFileSync(path.join(this.#dir, "go"), "");
  }

  /** Waits until it stopped itself. @returns the process that did: this one or its worker */
  async stopped(): Promise<number> {
    const pid = await this.#told("stopped");
    await waitFor(() => isStopped(pid), `process ${pid} to stop`);
    return pid;
  }

  /** Ends it and its workers. */
  kill(): void {
    signalFamily(this.#pid, "SIGKILL");
    families.delete(this.#pid);
  }

  /** Its end, whatever that is. */
  async ended(): Promise<Finished> {
    const finished = await this.#finished;
    this.kill();
    return finished;
  }

  /** @throws {Error} where it printed no results */
  async results(): Promise<PeerRun> {
    const { code, stdout, stderr } = await this.ended();
    const lastLine = stdout.trim().split("\n").at(-1);
    if (code !== 0 || !lastLine) throw new Error(`b10-transfer ended with exit status ${code}: ${stderr}`);
    return { ...v.parse(runSchema, JSON.parse(lastLine)), stderr };
  }

  async #told(name: string): Promise<number> {
    const file = path.join(this.#dir, name);
    let hasEnded = false;
    this.#finished.then(() => hasEnded = true, () => hasEnded = true);
    await waitFor(() => fs.existsSync(file) || hasEnded, `b10-transfer to be ${name}`);
    if (!fs.existsSync(file)) {
      throw new Error(`b10-transfer ended before it was ${name}: ${(await this.#finished).stderr}`);
    }
    return Number(fs.readFileSync(file, "utf8"));
  }
}

function flagsOf(dir: string, options: PeerOptions): string[] {
  const { hold, stop, uid, torchVersion, privateTmp, spare } = options;
  return [
    `--dir=${dir}`,
    ...(hold ? ["--hold"] : []),
    ...(stop ? [`--stop=${stop}`] : []),
    ...(uid === undefined ? [] : [`--uid=${uid}`]),
    ...(torchVersion === undefined ? [] : [`--torch-version=${torchVersion}`]),
    ...(privateTmp ? ["--private-tmp", ...privateTmp] : []),
    ...(spare ? ["--spare"] : []),
    "--",
  ];
}

function isStopped(pid: number): boolean {
  return /^State:\s+T/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
}

/** Goes on with a process that stopped. */
export function proceed(pid: number): void {
  process.kill(pid, "SIGCONT");
}

function signalFamily(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(codeOf(error) === "ESRCH")) throw error;
  }
}
