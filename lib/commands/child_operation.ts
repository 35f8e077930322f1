/**
 * Loads and saves as children of their own. A share can hang, and a stuck call can be neither ended nor waited for:
 * so the parent of `run` and of the automatic mode never touches the share. It starts this program again for each
 * load and save, and after the deadline leaves that child behind and goes on.
 */
import * as v from "valibot";
import { CacheError, errnoOf } from "../errors.ts";
import { type Report, reportError } from "../status.ts";
import type { CapturedRun } from "../system.ts";
import type { CommandContext } from "./context.ts";

const reportSchema = v.looseObject({
  operation: v.string(),
  status: v.picklist(["SUCCESS", "SKIPPED", "DOES_NOT_EXIST", "ERROR"]),
  elapsed_ms: v.number(),
  message: v.string(),
});

/** What this program starts itself for: everything that touches the share. */
export type ChildCommand = "load" | "save" | "suspect" | "clear";

export interface ChildOperation {
  readonly operation: ChildCommand;
  /** More words for its command line. */
  readonly options?: readonly string[];
  /** Serving must not notice it. */
  readonly priority?: "low";
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
    const run = await captured(context, argv, child);
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

/**
 * The least of the disk and of the CPU, as far as this pod's tools and its kernel can say it: gVisor, for one, refuses
 * ioprio_set(2), and then ionice would not start the program it is given. Without a shell the child is started as it is.
 */
const lowPriority: readonly (readonly string[])[] = [
  ["sh", "-c", '{ ionice -c 3 -p $$; renice -n 19 -p $$; } > /dev/null 2>&1; exec "$@"', "sh"],
  [],
];

async function captured(
  { system }: CommandContext,
  argv: readonly string[],
  { timeoutMs, signal, priority }: ChildOperation,
): Promise<CapturedRun> {
  const prefixes = priority === "low" ? lowPriority : [[]];
  for (const [at, prefix] of prefixes.entries()) {
    try {
      return await system.processes.capture([...prefix, ...argv], {
        timeoutMs: timeoutMs + graceMs,
        stderr: "inherit",
        signal,
      });
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || at === prefixes.length - 1) throw error;
    }
  }
  throw new CacheError("internal", "there is no way to start this program");
}

function childFlags({ flags }: CommandContext, { forCommand, options = [] }: ChildOperation): string[] {
  return [
    "--json",
    ...options,
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
