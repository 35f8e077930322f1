/** A world of processes, signals, a server and time for the commands that start this program again. */
import { type CommandContext, type CommonFlags, createContext } from "../../lib/commands/context.ts";
import type { Report } from "../../lib/status.ts";
import {
  type CapturedRun,
  type CaptureOptions,
  type Child,
  type FileStat,
  type FileSystem,
  type Host,
  type Http,
  type Processes,
  type Random,
  type Runtime,
  type Stdio,
  type System,
} from "../../lib/system.ts";
import { FakeClock } from "../fake_clock.ts";
import { fakeSystem, only } from "../fake_system.ts";

/** About what the real `Processes` gives an aborted child. */
export const abortGraceMs = 7_000;

/** What a child that loads or saves does. */
export interface ChildPlan {
  readonly stdout?: string;
  readonly code?: number;
  /** How long it takes: no time, without it. */
  readonly afterMs?: number;
  /** It never ends by itself. */
  readonly hangs?: true;
  /** It does not end when it is told to, as it is stuck in a call on the share or past its last step. */
  readonly deaf?: true;
  /** It cannot be started. */
  readonly fails?: string;
}

export interface WorldOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: CommonFlags;
  readonly load?: ChildPlan;
  readonly save?: ChildPlan;
  /** When the server is ready, in ms from the beginning; never, without it. */
  readonly readyAtMs?: number;
  readonly stdinIsTerminal?: boolean;
  readonly fs?: Partial<FileSystem>;
  /** Starts COMMAND, in place of one that runs until `endCommand`. */
  readonly start?: Processes["start"];
}

export interface Captured extends CaptureOptions {
  readonly argv: readonly string[];
  readonly atMs: number;
}

export function reportLine(report: Partial<Report>): string {
  return `${
    JSON.stringify({ operation: "load", status: "SUCCESS", elapsed_ms: 84, message: "well", ...report })
  }\n`;
}

const interruptedLine = (operation: string) =>
  reportLine({ operation, status: "ERROR", code: "interrupted", message: "interrupted by SIGTERM" });

/** What is done, in order. */
export class FakeWorld {
  readonly clock = new FakeClock();
  /** "load", "start vllm serve", "probe …", "save", "SIGTERM to COMMAND", and what was written. */
  readonly events: string[] = [];
  readonly captured: Captured[] = [];
  readonly probes: { readonly url: string; readonly atMs: number }[] = [];
  readonly said = { stdout: "", stderr: "" };
  readonly system: System;
  readonly #options: WorldOptions;
  #listening: { signals: readonly string[]; handler: (signal: string) => void } | undefined;
  #endCommand: (status: number) => void = () => {};

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.system = fakeSystem({
      clock: this.clock,
      env: { USER: "app", TERM: "dumb", ...options.env },
      runtime: only<Runtime>("runtime", { self: ["/usr/bin/b10-compile-cache"] }),
      host: only<Host>("host", { homeDir: "/home/app", workingDir: "/app", uid: 0 }),
      fs: only<FileSystem>("fs", {
        stat: () => Promise.resolve(only<FileStat>("stat", { kind: "directory" })),
        isWritable: () => Promise.resolve(true),
        // Caches in which nothing lies, and a place for this pod's state.
        realPath: (path) => Promise.resolve(path),
        list: () => Promise.resolve([]),
        mkdir: () => Promise.resolve(),
        lstat: () => Promise.resolve(only<FileStat>("stat", { kind: "directory", uid: 0, mode: 0o700 })),
        createFileSync: () => {},
        rename: () => Promise.resolve(),
        unlink: () => Promise.resolve(),
        ...options.fs,
      }),
      random: only<Random>("random", { hex: (bytes) => "0".repeat(bytes * 2) }),
      stdio: only<Stdio>("stdio", {
        stdinIsTerminal: options.stdinIsTerminal ?? false,
        stderrIsTerminal: false,
        stdout: (text) => void (this.said.stdout += text),
        stderr: (text) => void (this.said.stderr += text),
      }),
      processes: { capture: this.#capture, start: options.start ?? this.#start, onSignals: this.#onSignals },
      http: only<Http>("http", { status: this.#probe }),
    });
  }

  context(): Promise<CommandContext> {
    return createContext(this.system, this.#options.flags ?? {});
  }

  /** Sends this program a signal. */
  send(signal: string): void {
    if (!this.#listening?.signals.includes(signal)) throw new Error(`Nobody listens to ${signal}`);
    this.#listening.handler(signal);
  }

  get listensTo(): readonly string[] {
    return this.#listening?.signals ?? [];
  }

  /** COMMAND ends by itself. */
  endCommand(status: number): void {
    this.#endCommand(status);
  }

  readonly #capture = async (argv: readonly string[], options: CaptureOptions): Promise<CapturedRun> => {
    // Saves go through tools that take their priority.
    const operation = argv[argv.indexOf("/usr/bin/b10-compile-cache") + 1] ?? "";
    this.captured.push({ argv, atMs: this.clock.monotonicMs(), ...options });
    this.events.push(operation);
    const plan = (operation === "load" ? this.#options.load : this.#options.save) ?? {};
    if (plan.fails) throw Object.assign(new Error(`spawn ${plan.fails}`), { code: plan.fails });
    const ended = { stdout: plan.stdout ?? reportLine({ operation }), code: plan.code ?? 0, stderr: "" };
    const endsInMs = plan.hangs ? Infinity : plan.afterMs ?? 0;
    const waitMs = Math.min(endsInMs, options.timeoutMs);
    const beganMs = this.clock.monotonicMs();
    try {
      await this.clock.sleep(waitMs, options.signal);
    } catch {
      if (!plan.deaf) return { code: 143, stdout: interruptedLine(operation), stderr: "", timedOut: false };
      const leftMs = beganMs + waitMs - this.clock.monotonicMs();
      await this.clock.sleep(Math.min(leftMs, abortGraceMs));
      if (leftMs > abortGraceMs) return { code: 137, stdout: "", stderr: "", timedOut: true };
    }
    return endsInMs < options.timeoutMs
      ? { ...ended, timedOut: false }
      : { code: 137, stdout: "", stderr: "", timedOut: true };
  };

  readonly #start = (argv: readonly string[]): Promise<Child> => {
    this.events.push(`start ${argv.join(" ")}`);
    const exited = new Promise<number>((resolve) => {
      this.#endCommand = resolve;
    });
    return Promise.resolve({
      pid: 4711,
      exited,
      kill: (signal: string) => void this.events.push(`${signal} to COMMAND`),
    });
  };

  readonly #onSignals = (signals: readonly string[], handler: (signal: string) => void) => {
    this.#listening = { signals, handler };
    return () => {
      this.#listening = undefined;
    };
  };

  readonly #probe = (url: string): Promise<number> => {
    const atMs = this.clock.monotonicMs();
    this.probes.push({ url, atMs });
    const { readyAtMs } = this.#options;
    if (readyAtMs !== undefined && atMs >= readyAtMs) return Promise.resolve(200);
    return Promise.reject(new Error("connection refused"));
  };
}
