/** Automatic vLLM mode, `b10-compile-cache & vllm serve …`: load; wait for the server; save what is new. */
import type { Config } from "../config.ts";
import { CacheError } from "../errors.ts";
import { resolveParentSettings } from "../pod.ts";
import { waitUntilReady } from "../server.ts";
import { exitStatus, type Report, reportError, reportText } from "../status.ts";
import { runChild } from "./child_operation.ts";
import { type CommandContext, printReport, settingsLog } from "./context.ts";

/** Without these there is neither anything to load nor a place to save to: waiting for the server is no use. */
const hopeless = new Set<string | undefined>([
  "disabled",
  "bad_setting",
  "path_outside_prefix",
  "paths_overlap",
]);

export async function automaticCommand(context: CommandContext): Promise<number> {
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
    const settings = await resolveParentSettings(system, context.flagValues);
    const ended = await loadWaitSave(context, settings, controller.signal);
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

async function loadWaitSave(
  context: CommandContext,
  config: Config,
  signal: AbortSignal,
): Promise<Ended> {
  const { system, flags } = context;
  const log = settingsLog(context, config.logLevel);
  const loaded = await runChild(context, {
    operation: "load",
    timeoutMs: config.loadTimeoutS * 1000,
    signal,
  });
  signal.throwIfAborted();
  if (loaded.status === "ERROR") log.error(reportText(loaded));
  else log.info(reportText(loaded));
  const end = (
    about: Pick<Report, "status" | "message"> & { code?: Report["code"] },
    exit: number,
    saved?: Report,
  ): Ended => ({
    report: {
      operation: "automatic",
      status: about.status,
      ...(about.code === undefined ? {} : { code: about.code }),
      elapsed_ms: 0,
      load: loaded,
      save: saved ?? null,
      message: about.message,
    },
    exitStatus: exit,
  });
  if (loaded.status === "ERROR" && hopeless.has(loaded.code)) return end(loaded, exitStatus.error);
  if (loaded.status === "DOES_NOT_EXIST" && flags.failOnMiss) return end(loaded, exitStatus.miss);
  const ready = await waitUntilReady(system, {
    url: config.serverUrl,
    timeoutMs: config.serverTimeoutS * 1000,
    intervalMs: config.serverIntervalS * 1000,
    signal,
  });
  if (!ready) {
    const message =
      `the server did not answer at ${config.serverUrl} within ${config.serverTimeoutS} s, B10_TRANSFER_TIMEOUT_S`;
    return end({ status: "ERROR", code: "deadline", message }, exitStatus.serverNotReady);
  }
  const saved = await runChild(context, { operation: "save", timeoutMs: config.saveTimeoutS * 1000, signal });
  signal.throwIfAborted();
  const message = `load ${loaded.status}; save ${saved.status}: ${saved.message}`;
  return saved.status === "ERROR"
    ? end({ ...saved, message }, exitStatus.saveFailed, saved)
    : end({ status: saved.status, message }, exitStatus.ok, saved);
}
