/** One start of a vLLM server, timed from the outside. */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import process from "node:process";
import { binary } from "../project.ts";
import { freePort, type Pod, type Vllm } from "./pod.ts";

const readyTimeoutMs = 300_000;
const endTimeoutMs = 60_000;
const probeEveryMs = 50;

/** How the program is used, if it is. */
export type Form = "bare" | "run" | "background";

export interface ServeOptions {
  readonly vllm: Vllm;
  readonly form: Form;
  readonly model?: "tiny" | "tiny2";
  /** More words for `run`. */
  readonly options?: readonly string[];
}

/** A moment of a start, in seconds from its beginning. */
export interface Moment {
  readonly s: number;
  readonly what: string;
}

/** What the server and the program say, by which the picture is drawn. Nothing is proved by it. */
const tellingLines: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/b10-compile-cache: load [A-Z]/, "load"],
  [/Initializing a V1 LLM engine|Initializing a V1/, "engine"],
  [/Loading weights took|Model loading took/, "weights"],
  [
    /torch\.compile (took|takes)|Directly load (AOT|the compiled)|Compiling model again|Compiling a graph/,
    "compile",
  ],
  [/init engine .*took/, "warm-up"],
  [/Application startup complete/, "serving"],
  [/b10-compile-cache: cache [A-Z]+:/, "proof"],
  [/b10-compile-cache: save [A-Z]/, "save"],
];

export class Served {
  readonly #child: ChildProcess;
  readonly #startedMs: number;
  readonly #port: number;
  readonly #ended: Promise<number>;
  readonly moments: Moment[] = [];
  output = "";
  readyS = 0;

  constructor(child: ChildProcess, { startedMs, port }: { startedMs: number; port: number }) {
    this.#child = child;
    this.#startedMs = startedMs;
    this.#port = port;
    this.#ended = new Promise((resolve) =>
      child.on("close", (code, signal) => resolve(code ?? (signal ? 128 : 1)))
    );
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.#heard(text));
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** @returns seconds from the start of the first process until the server answered. @throws where it ends before */
  async ready(): Promise<number> {
    let hasEnded = false;
    void this.#ended.then(() => hasEnded = true);
    while (!await answers(this.#port)) {
      if (hasEnded || this.#elapsedS() * 1000 > readyTimeoutMs) {
        throw new Error(`The server was never ready: ${this.output.slice(-4000)}`);
      }
      await pause(probeEveryMs);
    }
    this.readyS = this.#elapsedS();
    this.moments.push({ s: this.readyS, what: "ready" });
    return this.readyS;
  }

  /** Waits until the program, or the server, has said this. */
  async said(pattern: RegExp): Promise<void> {
    const untilMs = performance.now() + readyTimeoutMs;
    while (!pattern.test(this.output)) {
      if (performance.now() > untilMs) throw new Error(`Nobody said ${pattern}: ${this.output.slice(-4000)}`);
      await pause(probeEveryMs);
    }
  }

  /** Sends the whole job a signal, as a kubelet does, and waits for its end. @returns the exit status */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    const kill = (name: NodeJS.Signals) => {
      try {
        process.kill(-this.pid, name);
      } catch {
        // It has ended.
      }
    };
    kill(signal);
    const deadline = setTimeout(() => kill("SIGKILL"), endTimeoutMs);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(deadline);
    }
  }

  #heard(text: string): void {
    this.output += text;
    for (const line of text.split("\n")) {
      const known = tellingLines.find(([pattern]) => pattern.test(line));
      if (known) this.moments.push({ s: this.#elapsedS(), what: known[1] });
    }
  }

  #elapsedS(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }
}

export async function serve(
  pod: Pod,
  { vllm, form, model = "tiny", options = [] }: ServeOptions,
): Promise<Served> {
  const port = await freePort();
  const server = [
    "vllm",
    "serve",
    path.join(vllm.dir, model),
    "--load-format",
    "dummy",
    "--max-model-len",
    "256",
    "--max-num-seqs",
    "8",
    "--host",
    "127.0.0.1",
    "--port",
    String(port),
  ];
  const startedMs = performance.now();
  const argv = argvOf(form, { server, options });
  const [command = "", ...args] = argv;
  const child = spawn(command, args, {
    cwd: pod.home,
    detached: true,
    env: { ...pod.env, B10_TRANSFER_VLLM_URL: `http://127.0.0.1:${port}/v1/models` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return new Served(child, { startedMs, port });
}

function argvOf(
  form: Form,
  { server, options }: { server: readonly string[]; options: readonly string[] },
): string[] {
  switch (form) {
    case "bare":
      return [...server];
    case "run":
      return [binary, "run", ...options, "--", ...server];
    case "background":
      return ["sh", "-c", '"$0" & exec "$@"', binary, ...server];
  }
  return form satisfies never;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get({ host: "127.0.0.1", port, path: "/v1/models", timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("error", () => resolve(false));
    request.on("timeout", () => request.destroy());
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Files below a directory, and their bytes. */
export function sizeOf(dir: string): { files: number; bytes: number } {
  if (!fs.existsSync(dir)) return { files: 0, bytes: 0 };
  const names = fs.readdirSync(dir, { recursive: true, encoding: "utf8" });
  const stats = names.map((name) => fs.lstatSync(path.join(dir, name))).filter((stat) => stat.isFile());
  return { files: stats.length, bytes: stats.reduce((sum, { size }) => sum + size, 0) };
}
