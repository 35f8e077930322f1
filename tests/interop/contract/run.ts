/** One scenario on one package. */
import * as fs from "node:fs";
import { createServer } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { type Answered, type Package, PackageProcess } from "./packages.ts";
import type { Answer, Call, Place, Scenario, Step } from "./scenario.ts";

/** Runs one scenario after the other on a package. */
export class Runner implements AsyncDisposable {
  readonly #package: Package;
  readonly #shareDir: string;
  #process: PackageProcess | undefined;
  #scenarios = 0;

  /** @param shareDir a directory below /cache/model of this package alone. */
  constructor(tested: Package, shareDir: string) {
    this.#package = tested;
    this.#shareDir = shareDir;
  }

  async run(scenario: Scenario): Promise<Answer> {
    const base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "b10-contract-")));
    const share = path.join(this.#shareDir, String(++this.#scenarios));
    const workDir = path.join(share, "work");
    fs.mkdirSync(workDir, { recursive: true });
    const place: Place = {
      base,
      torchDir: path.join(base, "torch"),
      workDir,
      storeDir: path.join(share, "store"),
      port: await freePort(),
    };
    try {
      const lines: string[] = [];
      for (const step of scenario.steps) lines.push(...await this.#step(place, step, scenario));
      return lines;
    } finally {
      fs.rmSync(base, { recursive: true });
      fs.rmSync(share, { recursive: true });
    }
  }

  async #step(place: Place, step: Step, scenario: Scenario): Promise<string[]> {
    step.prepare?.(place);
    const env = { ...commonEnv(place), ...step.env?.(place) };
    const calls = step.calls(place);
    const answered = await this.#ask({ env, calls }, scenario);
    const lines = calls.map((call, at) => lineOf(call, answered[at]));
    return step.look
      ? [...lines, `there: ${String(step.look(place)).replaceAll(place.base, "BASE")}`]
      : lines;
  }

  async #ask(
    question: { env: Readonly<Record<string, string | null>>; calls: readonly Call[] },
    scenario: Scenario,
  ) {
    if (!scenario.isAboutImport) {
      this.#process ??= new PackageProcess(this.#package);
      return await this.#process.ask(question);
    }
    await using own = new PackageProcess(this.#package, question.env);
    return await own.ask(question);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
  }
}

/** What every scenario has, so that b10-transfer works at all: without it, it wants 100 GB free. */
function commonEnv(place: Place): Readonly<Record<string, string>> {
  return {
    BASETEN_FS_ENABLED: "1",
    TORCHINDUCTOR_CACHE_DIR: place.torchDir,
    LOCAL_WORK_DIR: place.workDir,
    B10FS_CACHE_DIR: place.storeDir,
    MIN_B10FS_SPACE_MB: "1",
    MIN_LOCAL_SPACE_MB: "1",
    MAX_CONCURRENT_SAVES: "1",
    MAX_CACHE_SIZE_MB: "100",
  };
}

function lineOf([name]: Call, answer: Answered[number] | undefined): string {
  if (!answer) return `${name}: no answer`;
  if (!("returned" in answer)) return `${name}: ${JSON.stringify(answer)}`;
  const { returned } = answer;
  return `${name}: ${typeof returned === "string" ? returned : JSON.stringify(returned)}`;
}

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port"))
      );
    });
  });
}
