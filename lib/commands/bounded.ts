/** One operation under its deadline, signals included: whatever hangs, the program ends and says so. */
import type { Config } from "../config.ts";
import { resolveParentSettings } from "../pod.ts";
import { type Report, reportError } from "../status.ts";
import { type CommandContext, finish, printReport } from "./context.ts";
import { interruptible } from "./interruption.ts";

export interface Bounded {
  readonly operation: string;
  readonly deadline: "load" | "save" | "maintenance";
  /** What is added to the report of a failure: what was found out before it. */
  readonly known?: () => Partial<Report>;
  readonly act: (running: Running) => Promise<Report>;
}

export interface Running {
  readonly signal: AbortSignal;
  /** Of the whole operation. */
  readonly elapsedMs: () => number;
}

const deadlines = {
  load: { field: "loadTimeoutS", setting: "B10_CACHE_LOAD_TIMEOUT_S" },
  save: { field: "saveTimeoutS", setting: "B10_CACHE_SAVE_TIMEOUT_S" },
  maintenance: { field: "maintenanceTimeoutS", setting: "B10_CACHE_MAINTENANCE_TIMEOUT_S" },
} as const;

/** @returns the exit status, once the result is printed. */
export async function bounded(context: CommandContext, work: Bounded): Promise<number> {
  const { system } = context;
  const startedMs = system.clock.monotonicMs();
  const elapsedMs = () => system.clock.monotonicMs() - startedMs;
  const failed = (error: unknown): Report => ({
    ...work.known?.(),
    ...reportError(error, { operation: work.operation, elapsedMs: elapsedMs() }),
  });
  let config: Config;
  try {
    // No look at the share before the deadline runs.
    config = await resolveParentSettings(system, context.flagValues);
  } catch (error) {
    return finish(context, failed(error));
  }
  const { field, setting } = deadlines[work.deadline];
  const about = { what: `the ${work.operation}`, deadlineMs: config[field] * 1000, setting };
  const ended = await interruptible(system, about, (signal) => work.act({ signal, elapsedMs }));
  switch (ended.kind) {
    case "done":
      return finish(context, ended.value);
    case "failed":
      return finish(context, failed(ended.error));
    case "interrupted":
      printReport(context, failed(ended.error));
      return ended.exitStatus;
  }
  return ended satisfies never;
}
