/** Automatic vLLM mode, `b10-compile-cache & vllm serve …`: load; wait for the server; save what is new. */
import { whyNothingIsSaved } from "../config.ts";
import { CacheError } from "../errors.ts";
import { resolveParentSettings } from "../pod.ts";
import { shownUrl } from "../socket_url.ts";
import { recordJson } from "../start_record.ts";
import { exitStatus, type Report, reportError } from "../status.ts";
import { type CommandContext, type CommonFlags, printReport } from "./context.ts";
import type { RootFlags } from "./root_choice.ts";
import { type ReportFiles, StartReport } from "./run_report.ts";
import { accompanyServer, loadForStart, type ServerStart, takeBaseline } from "./server_start.ts";

export interface AutomaticFlags extends CommonFlags, RootFlags, Pick<ReportFiles, "metricsFile"> {}

/** It ends with its save, as it always has, unless B10_CACHE_WATCH_S says otherwise. */
const defaultWatchS = 0;

/** Without these there is neither anything to load nor a place to save to: waiting for the server is no use. */
const hopeless = new Set<string | undefined>([
  "disabled",
  "bad_setting",
  "path_outside_prefix",
  "paths_overlap",
]);

export async function automaticCommand(context: CommandContext, flags: AutomaticFlags): Promise<number> {
  const { system } = context;
  const startedMs = system.clock.monotonicMs();
  const elapsedMs = () => system.clock.monotonicMs() - startedMs;
  const controller = new AbortController();
  let interruptedBy: number | undefined;
  const stopListening = system.processes.onSignals(["SIGINT", "SIGTERM"], (name) => {
    interruptedBy = name === "SIGINT" ? exitStatus.interrupted : exitStatus.terminated;
    controller.abort(new CacheError("interrupted", `interrupted by ${name}`));
  });
  try {
    const config = await resolveParentSettings(system, context.flagValues);
    const report = new StartReport(system, "automatic", {
      files: flags.metricsFile === undefined ? {} : { metricsFile: flags.metricsFile },
      onProblem: (problem) => context.log.error(problem),
    });
    const ended = await loadWaitSave({ context, config, report, flags }, controller.signal);
    printReport(context, { ...ended.report, elapsed_ms: Math.round(elapsedMs()) });
    return interruptedBy ?? ended.exitStatus;
  } catch (error) {
    printReport(context, reportError(error, { operation: "automatic", elapsedMs: elapsedMs() }));
    return interruptedBy ?? exitStatus.error;
  } finally {
    stopListening();
  }
}

interface Ended {
  readonly report: Report;
  readonly exitStatus: number;
}

async function loadWaitSave(start: ServerStart, signal: AbortSignal): Promise<Ended> {
  const { context: { system, flags }, config, report } = start;
  const startedMs = system.clock.monotonicMs();
  const loaded = await loadForStart(start, signal);
  signal.throwIfAborted();
  if (loaded.status === "ERROR" && hopeless.has(loaded.code)) return ended(report, loaded, exitStatus.error);
  if (loaded.status === "DOES_NOT_EXIST" && flags.failOnMiss) return ended(report, loaded, exitStatus.miss);
  const isReady = await accompanyServer(start, {
    url: config.serverUrl,
    startedMs,
    baseline: await takeBaseline(start),
    watchS: config.watchS ?? defaultWatchS,
    signal,
  });
  signal.throwIfAborted();
  if (!isReady) {
    const message =
      `the server did not answer at ${shownUrl(config.serverUrl)} within ${config.serverTimeoutS} s, ` +
      "B10_TRANSFER_TIMEOUT_S";
    return ended(report, { status: "ERROR", code: "deadline", message }, exitStatus.serverNotReady);
  }
  const saved = report.record.save ??
    { status: "SKIPPED", message: whyNothingIsSaved(config) ?? "nothing is saved" } as const;
  const message = `load ${loaded.status}; save ${saved.status}: ${saved.message}`;
  return saved.status === "ERROR"
    ? ended(report, { ...saved, message }, exitStatus.saveFailed)
    : ended(report, { status: saved.status, message }, exitStatus.ok);
}

function ended(
  { record }: StartReport,
  about: Pick<Report, "status" | "message"> & { code?: Report["code"] },
  exit: number,
): Ended {
  const report = {
    ...recordJson(record),
    operation: "automatic",
    status: about.status,
    ...(about.code === undefined ? {} : { code: about.code }),
    elapsed_ms: 0,
    message: about.message,
  };
  return { report, exitStatus: exit };
}
