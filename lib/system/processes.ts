/** Child processes and signals. */
import { constants } from "node:os";
import process from "node:process";
import type { CapturedRun, CaptureOptions, Child, Processes } from "../system.ts";
import { bun } from "./bun.ts";
import { longestTimerMs } from "./clock.ts";
import { deno } from "./deno.ts";

// A child that answers this program prints a few kilobytes; one that prints more is not trusted with the memory.
const maxCapturedBytes = 16 * 1024 * 1024;

// More than the 5 s in which an operation of this program cleans up.
const abortGraceMs = 7_000;

const signalNumbers = new Map<string, number>(Object.entries(constants.signals));

/** The shell's way of saying how a process ended. */
function exitCode(code: number | null, signal: string | null): number {
  return code ?? 128 + (signalNumbers.get(signal ?? "") ?? 0);
}

function sendSignal(pid: number, signal: string): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has exited by itself already.
  }
}

/**
 * The runtimes' own functions, as node:child_process does not know real-time signals: on Bun it reports such a death
 * as 0, and on Deno it throws where nobody can catch it. A signal is sent by process.kill: after its own child.kill()
 * Deno reports the signal even where the child caught it and exited by itself.
 */
// deno-lint-ignore require-await -- both runtimes throw at once where a command cannot be started.
async function start([command = "", ...args]: readonly string[]): Promise<Child> {
  const stdio = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
  if (bun) {
    const { pid, exited } = bun.spawn({ cmd: [command, ...args], ...stdio });
    return { pid, exited, kill: (signal) => sendSignal(pid, signal) };
  }
  if (deno) {
    const { pid, status } = new deno.Command(command, { args, ...stdio }).spawn();
    const exited = status.then(({ code }) => code, exitCodeOfUnknownSignal);
    return { pid, exited, kill: (signal) => sendSignal(pid, signal) };
  }
  throw new Error(`Cannot start "${command}" as this is neither Deno nor Bun`);
}

/** Deno rejects for a death by a signal that it has no name for, and says its number in the message alone. */
function exitCodeOfUnknownSignal(error: unknown): number {
  const number = error instanceof TypeError ? /^Invalid signal: (\d+)$/.exec(error.message)?.[1] : undefined;
  if (number === undefined) throw error;
  return 128 + Number(number);
}

function capture([command = "", ...args]: readonly string[], options: CaptureOptions): Promise<CapturedRun> {
  const { timeoutMs, stderr = "capture", signal } = options;
  return new Promise((resolve, reject) => {
    // Loaded when it is first needed: a load by the files of a plain Python starts no process.
    const child = process.getBuiltinModule("node:child_process").spawn(command, args, {
      stdio: ["ignore", "pipe", stderr === "inherit" ? "inherit" : "pipe"],
    });
    const printed = { stdout: "", stderr: "" };
    const finish = (code: number, timedOut: boolean) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      resolve({ code, timedOut, ...printed });
    };
    const leaveBehind = () => {
      if (child.pid) sendSignal(child.pid, "SIGKILL");
      // A process stuck in a call on a hung share does not die even of SIGKILL.
      child.unref();
      child.stdout?.destroy();
      child.stderr?.destroy();
      finish(137, true);
    };
    let timer = setTimeout(leaveBehind, Math.min(timeoutMs, longestTimerMs));
    const onAbort = () => {
      if (child.pid) sendSignal(child.pid, "SIGTERM");
      clearTimeout(timer);
      timer = setTimeout(leaveBehind, Math.min(timeoutMs, abortGraceMs));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    // A signal that was aborted before never fires.
    if (signal?.aborted) onAbort();
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (text: string) => {
        if (printed[name].length < maxCapturedBytes) printed[name] += text;
      });
    }
    child.on("error", (error) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      reject(error);
    });
    child.on("close", (code, signalName) => finish(exitCode(code, signalName), false));
  });
}

function onSignals(signals: readonly string[], handler: (signal: string) => void): () => void {
  const listening: string[] = [];
  for (const signal of signals) {
    try {
      process.on(signal, handler);
      listening.push(signal);
    } catch {
      // A signal that this runtime or platform does not let a program handle.
    }
  }
  return () => {
    for (const signal of listening) process.off(signal, handler);
  };
}

export function realProcesses(): Processes {
  return { start, capture, onSignals };
}
