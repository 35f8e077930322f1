/** One start of a server, as far as the cache had a part in it: for the report, `status` and Prometheus. Pure. */
import type { JsonValue } from "./canonical_json.ts";
import type { Proof } from "./proof.ts";
import type { Report } from "./status.ts";

export interface StartRecord {
  readonly operation: "run" | "automatic";
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  readonly load: Report | null;
  /** The last one. */
  readonly save: Report | null;
  /** How many saves there were: what later requests compile is saved too. */
  readonly saves: number;
  /** Seconds from the server's start until it was ready; null while it is not. */
  readonly readyS: number | null;
  /** The same of the start that the cache was first saved from; null where that is not known. */
  readonly coldStartS: number | null;
  readonly proof: Proof | null;
  /** COMMAND's own; null while it runs, and in automatic mode. */
  readonly commandStatus: number | null;
}

/** A start of which nothing else is known yet. @param startedMs milliseconds since 1970. */
export function newRecord(operation: StartRecord["operation"], startedMs: number): StartRecord {
  return {
    operation,
    startedMs,
    load: null,
    save: null,
    saves: 0,
    readyS: null,
    coldStartS: null,
    proof: null,
    commandStatus: null,
  };
}

/** What `--report` has and `status` shows. Fields may be added, never removed. */
export function recordJson(record: StartRecord): { [field: string]: JsonValue | Report } {
  const { proof, readyS, coldStartS } = record;
  return {
    operation: record.operation,
    started_at: new Date(record.startedMs).toISOString(),
    load: record.load,
    save: record.save,
    saves: record.saves,
    verdict: proof?.verdict ?? null,
    restored_files: proof?.restoredFiles ?? null,
    restored_bytes: proof?.restoredBytes ?? null,
    new_files: proof?.newFiles ?? null,
    new_bytes: proof?.newBytes ?? null,
    ready_s: rounded(readyS),
    cold_start_s: rounded(coldStartS),
    saved_s: rounded(savedSeconds(record)),
    command_status: record.commandStatus,
  } as { [field: string]: JsonValue | Report };
}

/** How much sooner the server was ready than without a cache; null where that cannot be told. */
export function savedSeconds({ readyS, coldStartS, proof }: StartRecord): number | null {
  if (readyS === null || coldStartS === null || proof === null || proof.verdict === "COLD") return null;
  return coldStartS - readyS;
}

function rounded(seconds: number | null): number | null {
  return seconds === null ? null : Math.round(seconds * 100) / 100;
}
