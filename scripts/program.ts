/** Runs the built program as a user would, for the demos and the benchmarks. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import * as v from "valibot";
import { capture } from "./process.ts";
import { binary } from "./project.ts";

const outcomeSchema = v.object({
  operation: v.string(),
  status: v.picklist(["SUCCESS", "SKIPPED", "DOES_NOT_EXIST", "ERROR"]),
  key: v.optional(v.nullable(v.string())),
  files: v.optional(v.number(), 0),
  bytes: v.optional(v.number(), 0),
  stored_bytes: v.optional(v.number(), 0),
  elapsed_ms: v.number(),
  message: v.string(),
});

export interface Outcome extends v.InferOutput<typeof outcomeSchema> {
  /** Of the whole process, from outside. */
  readonly processMs: number;
}

const operationTimeoutMs = 120 * 1000;

/** Settings of this shell would mix with those of the pods that are played. */
const settingPattern =
  /^(B10|TORCHINDUCTOR_|TRITON_|VLLM_|LOCAL_|MAX_C|MIN_(LOCAL|B10FS)_|CLEANUP_|BASETEN_)/;

/** @throws {Error} where the program does not print its outcome */
export async function operate(
  operation: "load" | "save" | "clear",
  settings: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const inherited = Object.entries(process.env).filter(([name]) => !settingPattern.test(name));
  const env = { ...Object.fromEntries(inherited), ...settings };
  const { stdout, stderr, code, elapsedMs } = await capture([binary, operation, "--json", "--quiet"], {
    timeoutMs: operationTimeoutMs,
    env,
  });
  const lastLine = stdout.trim().split("\n").at(-1);
  if (!lastLine) {
    throw new Error(`${operation} printed no outcome and ended with exit status ${code}: ${stderr}`);
  }
  return { ...v.parse(outcomeSchema, JSON.parse(lastLine)), processMs: elapsedMs };
}

/** @throws {Error} with the program's own message where the status is another one */
export function expectStatus(outcome: Outcome, status: Outcome["status"]): void {
  if (outcome.status === status) return;
  throw new Error(
    `Expected ${outcome.operation} to be ${status}, but it is ${outcome.status}: ${outcome.message}`,
  );
}

/** A fresh directory in memory where the machine has one, so that no disk is measured; its real path. */
export function makeFastDir(name: string): string {
  const shm = "/dev/shm";
  const parent = isWritable(shm) ? shm : os.tmpdir();
  return fs.realpathSync(fs.mkdtempSync(path.join(parent, `${name}-`)));
}

function isWritable(dir: string): boolean {
  try {
    fs.accessSync(dir, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
