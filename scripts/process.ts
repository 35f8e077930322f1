/** Child processes for the scripts. */
import { spawn } from "node:child_process";
import * as os from "node:os";
import process from "node:process";

export interface Finished {
  /** The exit status; 128 + n after a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  /** From just before the start to the end of the process. */
  readonly elapsedMs: number;
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Called once the process runs. */
  readonly onStart?: (pid: number) => void;
}

/** Runs `argv` to its end, SIGKILL after `timeoutMs`, and keeps what it prints. @throws where it cannot be started */
export function capture(argv: readonly string[], options: RunOptions): Promise<Finished> {
  return start(argv, "pipe", options);
}

/**
 * Runs `argv` with this script's own stdout and stderr.
 * @throws {Error} where it cannot be started, fails, or takes longer than `timeoutMs`
 */
export async function run(argv: readonly string[], options: RunOptions): Promise<void> {
  const { code, timedOut } = await start(argv, "inherit", options);
  if (timedOut) {
    throw new Error(`Stopped "${argv.join(" ")}" as it took more than ${options.timeoutMs / 1000} s`);
  }
  if (code !== 0) throw new Error(`"${argv.join(" ")}" failed with exit status ${code}`);
}

function start(argv: readonly string[], output: "pipe" | "inherit", options: RunOptions): Promise<Finished> {
  const [command = "", ...args] = argv;
  const { timeoutMs, cwd, env = process.env } = options;
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", output, output] });
    if (child.pid !== undefined) options.onStart?.(child.pid);
    const stdout: Uint8Array[] = [];
    const stderr: Uint8Array[] = [];
    let timedOut = false;
    const deadline = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stdout?.on("data", (chunk: Uint8Array) => stdout.push(chunk));
    child.stderr?.on("data", (chunk: Uint8Array) => stderr.push(chunk));
    child.on("error", (error) => {
      clearTimeout(deadline);
      reject(new Error(`Cannot start "${command}" as ${error.message}`, { cause: error }));
    });
    child.on("close", (code, signal) => {
      clearTimeout(deadline);
      resolve({
        code: code ?? 128 + (signal ? os.constants.signals[signal] : 0),
        stdout: text(stdout),
        stderr: text(stderr),
        timedOut,
        elapsedMs: performance.now() - startMs,
      });
    });
  });
}

function text(chunks: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
}
