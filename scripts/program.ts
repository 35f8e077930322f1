/** Runs the built program as a user would, for the demos and the benchmarks. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import * as v from "valibot";
import { capture, type Finished } from "./process.ts";
import { binary } from "./project.ts";

const outcomeSchema = v.object({
  operation: v.string(),
  status: v.picklist(["SUCCESS", "SKIPPED", "DOES_NOT_EXIST", "ERROR"]),
  /** Why, for an ERROR. */
  code: v.optional(v.string(), ""),
  generation: v.optional(v.number(), 0),
  generations_removed: v.optional(v.number(), 0),
  layers_removed: v.optional(v.number(), 0),
  key: v.optional(v.nullable(v.string())),
  files: v.optional(v.number(), 0),
  bytes: v.optional(v.number(), 0),
  stored_bytes: v.optional(v.number(), 0),
  elapsed_ms: v.number(),
  message: v.string(),
});

/** What the program prints of an operation. */
export type Result = v.InferOutput<typeof outcomeSchema>;

export interface Outcome extends Result {
  /** Of the whole process, from outside. */
  readonly processMs: number;
}

type Settings = Readonly<Record<string, string>>;

const operationTimeoutMs = 120 * 1000;

/** Settings of this shell would mix with those of the pods that are played. */
const settingPattern =
  /^(B10|TORCHINDUCTOR_|TRITON_|VLLM_|LOCAL_|MAX_C|MIN_(LOCAL|B10FS)_|CLEANUP_|BASETEN_)/;

/** @throws {Error} where the program does not print its outcome */
export async function operate(operation: "load" | "save" | "clear", settings: Settings): Promise<Outcome> {
  const finished = await runProgram([operation], { settings, timeoutMs: operationTimeoutMs });
  const result = resultOf(finished);
  if (!result) {
    const { code, stderr } = finished;
    throw new Error(`${operation} printed no outcome and ended with exit status ${code}: ${stderr}`);
  }
  return { ...result, processMs: finished.elapsedMs };
}

export interface ProgramOptions {
  readonly settings: Settings;
  readonly timeoutMs: number;
  readonly onStart?: (pid: number) => void;
}

/** Runs one command of the program to its end, whatever that is. */
export function runProgram(
  args: readonly string[],
  { settings, ...options }: ProgramOptions,
): Promise<Finished> {
  const inherited = Object.entries(process.env).filter(([name]) => !settingPattern.test(name));
  const env = { ...Object.fromEntries(inherited), ...settings };
  return capture([binary, ...args, "--json", "--quiet"], { ...options, env });
}

/**
 * @returns undefined where it printed none.
 * @throws {Error} where it printed something else
 */
export function resultOf({ stdout }: Finished): Result | undefined {
  const lastLine = stdout.trim().split("\n").at(-1);
  return lastLine ? v.parse(outcomeSchema, JSON.parse(lastLine)) : undefined;
}

/** @throws {Error} with the program's own message where the status is another one */
export function expectStatus(outcome: Outcome, status: Outcome["status"]): void {
  if (outcome.status === status) return;
  throw new Error(
    `Expected ${outcome.operation} to be ${status}, but it is ${outcome.status}: ${outcome.message}`,
  );
}

/**
 * A fresh directory in memory where the machine has one, so that no disk is measured; its real path.
 * @param bytes so much must be free there.
 */
export function makeFastDir(name: string, { bytes }: { bytes: number } = { bytes: 0 }): string {
  const shm = "/dev/shm";
  const parent = isWritable(shm) && freeBytes(shm) >= bytes ? shm : os.tmpdir();
  return fs.realpathSync(fs.mkdtempSync(path.join(parent, `${name}-`)));
}

function freeBytes(dir: string): number {
  const { bavail, bsize } = fs.statfsSync(dir);
  return bavail * bsize;
}

function isWritable(dir: string): boolean {
  try {
    fs.accessSync(dir, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
