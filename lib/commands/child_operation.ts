/**
 * Loads and saves as children of their own. A share can hang, and a stuck call can be neither ended nor waited for:
 * so the parent of `run` and of the automatic mode never touches the share. It starts this program again for each
 * load and save, and after the deadline leaves that child behind and goes on.
 */
import * as v from "valibot";
import { CacheError } from "../errors.ts";
import { type Report, reportError } from "../status.ts";
import type { CommandContext } from "./context.ts";

const reportSchema = v.looseObject({
  operation: v.string(),
  status: v.picklist(["SUCCESS", "SKIPPED", "DOES_NOT_EXIST", "ERROR"]),
  elapsed_ms: v.number(),
  message: v.string(),
});

export interface ChildOperation {
  readonly operation: "load" | "save";
  /** The child keeps to this deadline itself; the parent waits somewhat longer before it leaves it behind. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** The command whose Python decides the key. */
  readonly forCommand?: string;
}

/** What the parent grants beyond the child's own deadline. */
const graceMs = 10_000;

/** Never throws: a cache problem never stops a model from starting. */
export async function runChild(context: CommandContext, child: ChildOperation): Promise<Report> {
  const { system } = context;
  const startedMs = system.clock.monotonicMs();
  try {
    const argv = [...system.runtime.self, child.operation, ...childFlags(context, child)];
    const run = await system.processes.capture(argv, {
      timeoutMs: child.timeoutMs + graceMs,
      stderr: "inherit",
      signal: child.signal,
    });
    if (run.timedOut) {
      child.signal.throwIfAborted();
      throw new CacheError(
        "deadline",
        `the ${child.operation} hung and was left behind after ${child.timeoutMs / 1000} s`,
      );
    }
    return parseReport(run.stdout, run.code);
  } catch (error) {
    return reportError(error, {
      operation: child.operation,
      elapsedMs: system.clock.monotonicMs() - startedMs,
    });
  }
}

function childFlags({ flags }: CommandContext, { forCommand }: ChildOperation): string[] {
  return [
    "--json",
    "--vllm",
    ...(flags.quiet ? ["--quiet"] : []),
    ...(flags.verbose ? ["--verbose"] : []),
    ...(flags.color === false ? ["--no-color"] : []),
    ...(flags.key === undefined ? [] : ["--key", flags.key]),
    ...(flags.namespace === undefined ? [] : ["--namespace", flags.namespace]),
    ...(flags.readOnly ? ["--read-only"] : []),
    ...(forCommand === undefined ? [] : ["--for-command", forCommand]),
  ];
}

function parseReport(stdout: string, code: number): Report {
  const line = stdout.trimEnd().split("\n").at(-1) ?? "";
  try {
    return v.parse(reportSchema, JSON.parse(line)) as Report;
  } catch (cause) {
    throw new CacheError("internal", `the program ended with status ${code} and without a result`, { cause });
  }
}
