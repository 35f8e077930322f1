/** Ending an operation early: by a signal, or by its deadline. */
import { CacheError } from "../errors.ts";
import { exitStatus } from "../status.ts";
import type { System } from "../system.ts";

/** An operation that is told to stop gets this long to clean up; one that hangs on a share never would. */
const cleanUpMs = 5_000;

export interface Interruptible {
  /** For messages: "the load". */
  readonly what: string;
  readonly deadlineMs: number;
  /** The setting that the deadline comes from. */
  readonly setting: string;
}

export type Ended<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "interrupted"; readonly exitStatus: number; readonly error: CacheError };

/**
 * Runs an operation that SIGINT, SIGTERM and its deadline can end, with nothing half-done left behind. It listens to the end of
 * the process: a signal that comes when all is done must not end that with a status that says something else.
 */
export async function interruptible<T>(
  system: System,
  about: Interruptible,
  operation: (signal: AbortSignal) => Promise<T>,
): Promise<Ended<T>> {
  const controller = new AbortController();
  let status: number | undefined;
  const over = new AbortController();
  system.processes.onSignals(["SIGINT", "SIGTERM"], (name) => {
    if (over.signal.aborted) return;
    status = name === "SIGINT" ? exitStatus.interrupted : exitStatus.terminated;
    controller.abort(new CacheError("interrupted", `${about.what} was interrupted by ${name}`));
  });
  try {
    return await Promise.race([
      settle(operation(controller.signal)),
      abandonAfterDeadline(system, about, { controller, over: over.signal }),
      abandonAfterAbort(system, controller.signal, over.signal),
    ]).then((ended) =>
      status !== undefined && ended.kind === "failed" ? interruptedBy(status, controller) : ended
    );
  } finally {
    over.abort();
  }
}

async function settle<T>(operation: Promise<T>): Promise<Ended<T>> {
  try {
    return { kind: "done", value: await operation };
  } catch (error) {
    return { kind: "failed", error };
  }
}

function interruptedBy(status: number, controller: AbortController): Ended<never> {
  return { kind: "interrupted", exitStatus: status, error: controller.signal.reason };
}

/** Never resolves before the operation had its chance to clean up. */
async function abandonAfterAbort(
  system: System,
  aborted: AbortSignal,
  over: AbortSignal,
): Promise<Ended<never>> {
  await new Promise<void>((resolve) => aborted.addEventListener("abort", () => resolve(), { once: true }));
  await sleepUnless(system, cleanUpMs, over);
  return { kind: "failed", error: aborted.reason };
}

async function abandonAfterDeadline(
  system: System,
  about: Interruptible,
  { controller, over }: { controller: AbortController; over: AbortSignal },
): Promise<Ended<never>> {
  await sleepUnless(system, about.deadlineMs, over);
  const error = new CacheError(
    "deadline",
    `${about.what} was given up after ${
      about.deadlineMs / 1000
    } s, ${about.setting}: the share hangs or is too slow`,
  );
  if (!over.aborted) controller.abort(error);
  await sleepUnless(system, cleanUpMs, over);
  return { kind: "failed", error };
}

async function sleepUnless(system: System, ms: number, over: AbortSignal): Promise<void> {
  try {
    await system.clock.sleep(ms, over);
  } catch {
    // The race is decided.
  }
}
