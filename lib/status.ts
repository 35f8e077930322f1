/** What is said about an operation: text for people, JSON for programs, an exit status for shells. Pure. */
import type { JsonValue } from "./canonical_json.ts";
import type { Environment } from "./environment.ts";
import { CacheError, type ErrorCode, messageOf } from "./errors.ts";
import type { LoadOutcome, SaveOutcome } from "./operation.ts";
import { countOf, escapeUnseen, formatBytes, formatDuration } from "./text.ts";

export type Status = "SUCCESS" | "SKIPPED" | "DOES_NOT_EXIST" | "ERROR";

/** The one object that `--json` prints. Fields may be added, never removed. */
export interface Report {
  readonly operation: string;
  readonly status: Status;
  /** Why, for an ERROR. */
  readonly code?: ErrorCode;
  readonly elapsed_ms: number;
  readonly message: string;
  readonly [field: string]: JsonValue | Report | undefined;
}

/** Exit statuses, as contract and README list them. */
export const exitStatus = {
  ok: 0,
  error: 1,
  serverNotReady: 2,
  saveFailed: 3,
  miss: 4,
  usage: 64,
  notExecutable: 126,
  notFound: 127,
  hungUp: 129,
  interrupted: 130,
  quit: 131,
  terminated: 143,
} as const;

interface About {
  readonly operation: string;
  readonly elapsedMs: number;
  readonly key?: string;
}

export function reportOutcome(outcome: LoadOutcome | SaveOutcome, about: About): Report {
  return {
    operation: about.operation,
    status: outcome.status,
    ...(about.key === undefined ? {} : { key: about.key }),
    ...("generation" in outcome && outcome.generation !== undefined
      ? { generation: outcome.generation }
      : {}),
    ...("origin" in outcome ? { origin: outcome.origin } : {}),
    ...("about" in outcome ? { content: outcome.about.content, cold_start_s: outcome.about.coldStartS } : {}),
    ...("suspect" in outcome && outcome.suspect !== undefined ? { suspect: outcome.suspect } : {}),
    files: "totals" in outcome ? outcome.totals.files : 0,
    bytes: "totals" in outcome ? outcome.totals.bytes : 0,
    stored_bytes: "totals" in outcome ? outcome.totals.storedBytes : 0,
    elapsed_ms: Math.round(about.elapsedMs),
    message: describeOutcome(outcome, about),
  };
}

const verbs: Readonly<Record<string, string>> = {
  load: "restored",
  save: "saved",
  export: "exported",
  import: "imported",
};

function describeOutcome(outcome: LoadOutcome | SaveOutcome, about: About): string {
  switch (outcome.status) {
    case "SUCCESS": {
      const { files, bytes } = outcome.totals;
      return `${verbs[about.operation] ?? about.operation} ${countOf(files, "file")}, ${
        formatBytes(bytes)
      }, in ${formatDuration(about.elapsedMs)}; ` +
        ("archive" in outcome
          ? `${outcome.origin}'s ${outcome.archive}`
          : `generation ${outcome.generation}`);
    }
    case "SKIPPED":
    case "DOES_NOT_EXIST":
      return outcome.reason;
  }
  return outcome satisfies never;
}

export function reportError(error: unknown, about: About): Report {
  return {
    operation: about.operation,
    status: "ERROR",
    code: codeOf(error),
    ...(about.key === undefined ? {} : { key: about.key }),
    elapsed_ms: Math.round(about.elapsedMs),
    message: messageOf(error),
  };
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof CacheError ? error.code : "internal";
}

/** One line for people. */
export function reportText(report: Report): string {
  const code = report.code === undefined ? "" : ` (${report.code})`;
  return `${report.operation} ${report.status}${code}: ${report.message}`;
}

export function exitStatusOf(report: Report, options: { failOnMiss: boolean }): number {
  switch (report.status) {
    case "SUCCESS":
    case "SKIPPED":
      return exitStatus.ok;
    case "DOES_NOT_EXIST":
      return options.failOnMiss ? exitStatus.miss : exitStatus.ok;
    case "ERROR":
      return exitStatus.error;
  }
  return report.status satisfies never;
}

/** "NVIDIA H100 80GB HBM3, CUDA 13.0, torch 2.11.0, Python 3.12, x86_64" */
export function describeEnvironment(environment: Readonly<Record<string, unknown>> | Environment): string {
  const facts: Readonly<Record<string, unknown>> = { ...environment };
  const devices = Array.isArray(facts["devices"]) ? facts["devices"].map(String) : [];
  const named =
    ([["cuda", "CUDA"], ["rocm", "ROCm"], ["torch", "torch"], ["triton", "Triton"], ["vllm", "vLLM"], [
      "python",
      "Python",
    ]] as const).flatMap(([field, name]) =>
      typeof facts[field] === "string" ? [`${name} ${facts[field]}`] : []
    );
  const machine = [facts["machine"], facts["cpu_isa"]].filter((fact) => typeof fact === "string").join(" ");
  // A manifest says what its writer wants: it is shown on one line, whatever is in it.
  return escapeUnseen([devices.length > 0 ? devices.join(" + ") : "CPU", ...named, machine].join(", "));
}
