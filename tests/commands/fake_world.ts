/** A world of processes, signals, a server and time for the commands that start this program again. */
import { type CommandContext, type CommonFlags, createContext } from "../../lib/commands/context.ts";
import type { Report } from "../../lib/status.ts";
import {
  type CapturedRun,
  type CaptureOptions,
  type Child,
  type DirectoryEntry,
  type FileStat,
  type FileSystem,
  type FileVersion,
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

/** The directories of the pod's caches, by the names of their roots. */
export const rootDirs = {
  inductor: "/tmp/torchinductor_app",
  triton: "/home/app/.triton/cache",
  vllm: "/home/app/.cache/vllm",
} as const;

/** What stands before a child that serving is not to notice. */
export const gently = 'sh -c { ionice -c 3 -p $$; renice -n 19 -p $$; } > /dev/null 2>&1; exec "$@" sh';

/** Where a start is kept for `status`. */
export const lastStartFile = "/app/.b10-compile-cache/last-start.json";

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
  /** What it has done once it ends by itself. */
  readonly does?: (world: FakeWorld) => void;
}

export interface WorldOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: CommonFlags;
  readonly load?: ChildPlan;
  /** Of one that gets a number, counted from 1, each save is its own. */
  readonly save?: ChildPlan | ((number: number) => ChildPlan);
  readonly suspect?: ChildPlan;
  readonly clear?: ChildPlan;
  /** Programs that this pod does not have. */
  readonly missingTools?: readonly string[];
  /** No file below it can be made. */
  readonly unwritable?: string;
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

interface CacheFile {
  readonly size: number;
  /** Of which writing it is. */
  readonly version: bigint;
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
  /** Files that this program wrote, by where they lie: reports and metrics. */
  readonly written = new Map<string, string>();
  readonly system: System;
  /** What lies in the pod's caches, by where it lies. */
  readonly #files = new Map<string, CacheFile>();
  #versions = 0n;
  #saves = 0;
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
        // The caches, and a place for this pod's state.
        realPath: (path) => Promise.resolve(path),
        list: (dir) => Promise.resolve(this.#list(dir)),
        mkdir: () => Promise.resolve(),
        lstat: (path) => Promise.resolve(this.#lstat(path)),
        createFileSync: (path, bytes) => this.#createFile(path, bytes),
        rename: (from, to) => Promise.resolve(this.#rename(from, to)),
        unlink: (path) => Promise.resolve(void this.written.delete(path)),
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

  /** The server, or a load, writes a file of a cache: `<root>/<path below it>`. */
  write(path: string, size = 1_000): void {
    this.#files.set(placeOf(path), { size, version: ++this.#versions });
  }

  remove(path: string): void {
    this.#files.delete(placeOf(path));
  }

  emptyCaches(): void {
    this.#files.clear();
  }

  /** A file that this program wrote, as JSON. */
  readJson(file: string): Readonly<Record<string, unknown>> {
    return JSON.parse(this.written.get(file) ?? "{}");
  }

  #list(dir: string): DirectoryEntry[] {
    const below = [...this.#files.keys()].filter((file) => file.startsWith(`${dir}/`));
    const names = new Map(below.map((file) => {
      const [name = "", ...rest] = file.slice(dir.length + 1).split("/");
      return [name, rest.length > 0 ? "directory" : "file"] as const;
    }));
    return [...names].map(([name, kind]) => ({ name, kind }));
  }

  #lstat(path: string): FileStat {
    const file = this.#files.get(path);
    if (!file) return only<FileStat>("stat", { kind: "directory", uid: 0, mode: 0o700 });
    const { size, version } = file;
    return only<FileStat>("stat", { kind: "file", size, ino: 1n, mtimeNs: version, ctimeNs: version });
  }

  #createFile(path: string, bytes: Uint8Array): FileVersion {
    const { unwritable } = this.#options;
    if (unwritable !== undefined && path.startsWith(unwritable)) {
      throw Object.assign(new Error("no such directory"), { code: "ENOENT" });
    }
    this.written.set(path, new TextDecoder().decode(bytes));
    return { ino: 1n, size: bytes.length, mtimeNs: 1n, ctimeNs: 1n };
  }

  #rename(from: string, to: string): void {
    this.written.set(to, this.written.get(from) ?? "");
    this.written.delete(from);
  }

  #planOf(operation: string): ChildPlan {
    const { load, save, suspect, clear } = this.#options;
    switch (operation) {
      case "load":
        return load ?? {};
      case "save":
        return (typeof save === "function" ? save(++this.#saves) : save) ?? {};
      case "suspect":
        return suspect ?? {};
      case "clear":
        return clear ?? {};
      default:
        throw new Error(`No child does ${JSON.stringify(operation)}`);
    }
  }

  /** COMMAND ends by itself. */
  endCommand(status: number): void {
    this.#endCommand(status);
  }

  readonly #capture = async (argv: readonly string[], options: CaptureOptions): Promise<CapturedRun> => {
    // Saves go through tools that take their priority.
    const operation = argv[argv.indexOf("/usr/bin/b10-compile-cache") + 1] ?? "";
    if (this.#options.missingTools?.includes(argv[0] ?? "")) {
      throw Object.assign(new Error("spawn ENOENT"), { code: "ENOENT" });
    }
    this.captured.push({ argv, atMs: this.clock.monotonicMs(), ...options });
    this.events.push(operation);
    const plan = this.#planOf(operation);
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
    if (endsInMs >= options.timeoutMs) return { code: 137, stdout: "", stderr: "", timedOut: true };
    plan.does?.(this);
    return { ...ended, timedOut: false };
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

function placeOf(path: string): string {
  const [root = "", ...rest] = path.split("/");
  const dir = Object.entries(rootDirs).find(([name]) => name === root)?.[1];
  if (dir === undefined) throw new Error(`There is no root ${JSON.stringify(root)}`);
  return [dir, ...rest].join("/");
}
