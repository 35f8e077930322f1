/** The two packages called b10_transfer, each as a process that answers scenarios. */
import { type ChildProcess, spawn } from "node:child_process";
import * as path from "node:path";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import * as v from "valibot";
import type { PeerPython } from "../../../scripts/peer_python.ts";
import { binary, projectDir } from "../../../scripts/project.ts";
import type { Call } from "./scenario.ts";

const driver = path.join(projectDir, "tests", "interop", "contract", "driver.py");

const answerSchema = v.array(v.record(v.string(), v.unknown()));

export type Answered = v.InferOutput<typeof answerSchema>;

export interface Question {
  readonly env: Readonly<Record<string, string | null>>;
  readonly calls: readonly Call[];
}

export interface Package {
  readonly name: string;
  /** For PYTHONPATH. */
  readonly packages: string;
  readonly python: string;
}

export function peerPackage({ python, packages }: PeerPython): Package {
  return { name: "b10-transfer 0.4.1", packages, python };
}

/** Ours from its source, with the built program on the PATH. */
export function ownPackage({ python }: PeerPython): Package {
  return { name: "b10-compile-cache", packages: path.join(projectDir, "python", "src"), python };
}

/** One process of a package; settings that it reads when it is imported are its own. */
export class PackageProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers: Interface;
  readonly #ended: Promise<void>;
  readonly #waiting: ((line: string) => void)[] = [];
  #stderr = "";

  constructor({ python, packages }: Package, env: Question["env"] = {}) {
    const settings = Object.entries(env).flatMap(([name, value]) => value === null ? [] : [[name, value]]);
    this.#child = spawn(python, [driver], {
      env: {
        PATH: `${path.dirname(binary)}:${process.env["PATH"] ?? "/usr/bin:/bin"}`,
        HOME: "/tmp",
        USER: "contract",
        PYTHONPATH: packages,
        ...Object.fromEntries(settings),
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#ended = new Promise((resolve) => this.#child.on("close", () => resolve()));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#stderr += text);
    if (!this.#child.stdout) throw new Error("Cannot read what the package answers");
    this.#answers = createInterface({ input: this.#child.stdout });
    this.#answers.on("line", (line) => this.#waiting.shift()?.(line));
    void this.#ended.then(() => this.#waiting.forEach((tell) => tell("")));
  }

  /** @throws {Error} where it ends without an answer */
  async ask(question: Question): Promise<Answered> {
    const line = await new Promise<string>((resolve) => {
      this.#waiting.push(resolve);
      this.#child.stdin?.write(`${JSON.stringify(question)}\n`);
    });
    if (line === "") throw new Error(`The package ended without an answer: ${this.#stderr.slice(-2000)}`);
    return v.parse(answerSchema, JSON.parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }
}
