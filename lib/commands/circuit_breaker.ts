/** Whether a command's death accuses the cache that was restored before it. Pure. */
import type { StartRecord } from "../start_record.ts";
import { exitStatus } from "../status.ts";

export interface Death {
  readonly status: number;
  readonly record: StartRecord;
  /** Somebody asked for it. */
  readonly wasToldToEnd: boolean;
  readonly ranForMs: number;
  /** A server that is not ready by then is none, or is slow: it did not die of what it found. */
  readonly soonMs: number;
}

/** argparse's status for a wrong command line, and those of a command that was never started. */
const notOfTheCache: readonly number[] = [0, 2, exitStatus.notExecutable, exitStatus.notFound];

/** It died by itself, soon after a restore and before it was ever ready. */
export function isSuspectDeath({ status, record, wasToldToEnd, ranForMs, soonMs }: Death): boolean {
  return suspectContent(record) !== undefined && record.readyS === null && !wasToldToEnd &&
    ranForMs < soonMs &&
    !notOfTheCache.includes(status);
}

/** The content ID of what was restored, if something was. */
export function suspectContent({ load }: StartRecord): string | undefined {
  const content = load?.status === "SUCCESS" || load?.status === "SKIPPED" ? load["content"] : undefined;
  return typeof content === "string" ? content : undefined;
}
