/**
 * The command `run [--] COMMAND…`: load before COMMAND starts, save once its server is ready, and otherwise be as if
 * COMMAND had been started by itself: same stdio, every signal, its own exit status.
 */
import type { Config } from "../config.ts";
import { CacheError, errnoOf, messageOf } from "../errors.ts";
import { resolveParentSettings } from "../pod.ts";
import { probeUrl, waitUntilReady } from "../server.ts";
import { exitStatus, type Report, reportError, reportText } from "../status.ts";
import type { Child } from "../system.ts";
import { runChild } from "./child_operation.ts";
import { type CommandContext, type CommonFlags, settingsLog } from "./context.ts";
import { RunReport } from "./run_report.ts";

export interface RunFlags extends CommonFlags {
  /** Where the results go, as JSON. */
  readonly report?: string;
}

/**
 * What a program may be sent and this one can catch. SIGKILL and SIGSTOP cannot be caught, and the real-time signals
 * have no names on either runtime. SIGTSTP is left to stop the whole job, as a shell wants it.
 */
const forwarded = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGCONT",
  "SIGWINCH",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGVTALRM",
  "SIGPROF",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGTRAP",
] as const;

/** What the terminal sends to every process of the foreground job by itself: COMMAND has it already. */
const fromKeyboard: readonly string[] = ["SIGINT", "SIGQUIT", "SIGWINCH"];

/** Signals that end this program before COMMAND was started, and the exit status that each stands for. */
const ending: ReadonlyMap<string, number> = new Map([
  ["SIGINT", exitStatus.interrupted],
  ["SIGTERM", exitStatus.terminated],
  ["SIGHUP", exitStatus.hungUp],
  ["SIGQUIT", exitStatus.quit],
]);

/** A save that is under way when COMMAND ends gets this long to finish. */
const finishSaveMs = 5_000;

export async function runCommand(
  context: CommandContext,
  command: readonly string[],
  flags: RunFlags,
): Promise<number> {
  const { system } = context;
  const report = new RunReport(system, flags.report);
  const relay = new SignalRelay(context);
  try {
    const config = await settingsOrNone(context);
    if (config) await loadFirst(context, config, { command, report, signal: relay.beforeStart });
    if (relay.exitStatus !== undefined) return relay.exitStatus;
    const child = await startCommand(context, command, report);
    if (typeof child === "number") return child;
    relay.forwardTo(child);
    const status = await overlook(context, config, { child, command, report });
    report.ended(status);
    return status;
  } finally {
    relay.stop();
    await report.write((problem) => context.log.error(problem));
  }
}

/** Settings that break a rule are said, and cost the cache: they do not keep COMMAND from starting. */
async function settingsOrNone(context: CommandContext): Promise<Config | undefined> {
  try {
    return await resolveParentSettings(context.system, context.flagValues);
  } catch (error) {
    context.log.error(`${messageOf(error)}; the command starts without a cache`);
    return undefined;
  }
}

interface Overseen {
  readonly command: readonly string[];
  readonly report: RunReport;
}

async function loadFirst(
  context: CommandContext,
  config: Config,
  { command, report, signal }: Overseen & { signal: AbortSignal },
): Promise<void> {
  const loaded = await runChild(context, {
    operation: "load",
    timeoutMs: config.loadTimeoutS * 1000,
    signal,
    ...forCommand(command),
  });
  report.loaded(loaded);
  say(context, config.logLevel, loaded);
}

async function startCommand(
  { system, log }: CommandContext,
  command: readonly string[],
  report: RunReport,
): Promise<Child | number> {
  try {
    return await system.processes.start(command);
  } catch (error) {
    const errno = errnoOf(error);
    const status = errno === "ENOENT" ? exitStatus.notFound : exitStatus.notExecutable;
    log.error(`Cannot start ${JSON.stringify(command[0])}: ${errno ?? messageOf(error)}`);
    report.ended(status);
    return status;
  }
}

/** Waits for COMMAND's end, and meanwhile saves once its server is ready. */
async function overlook(
  context: CommandContext,
  config: Config | undefined,
  { child, command, report }: Overseen & { child: Child },
): Promise<number> {
  if (!config || config.readOnly) return await child.exited;
  const { clock } = context.system;
  const ended = new AbortController();
  const saving = saveWhenReady(context, config, { command, report, signal: ended.signal });
  const status = await child.exited;
  if (report.isSaving) await Promise.race([saving, clock.sleep(finishSaveMs)]);
  ended.abort(new CacheError("interrupted", "the command has ended"));
  await saving;
  return status;
}

async function saveWhenReady(
  context: CommandContext,
  config: Config,
  { command, report, signal }: Overseen & { signal: AbortSignal },
): Promise<void> {
  const wait = {
    url: probeUrl(command, config.serverUrl),
    timeoutMs: config.serverTimeoutS * 1000,
    intervalMs: config.serverIntervalS * 1000,
    signal,
  };
  try {
    if (!await waitUntilReady(context.system, wait)) {
      const message =
        `the server did not answer at ${wait.url} within ${config.serverTimeoutS} s, so nothing is saved`;
      report.saved(
        reportError(new CacheError("deadline", message), { operation: "save", elapsedMs: wait.timeoutMs }),
      );
      context.log.warning(message);
      return;
    }
    report.beginSave();
    const saved = await runChild(context, {
      operation: "save",
      timeoutMs: config.saveTimeoutS * 1000,
      signal,
      ...forCommand(command),
    });
    report.saved(saved);
    say(context, config.logLevel, saved);
  } catch (error) {
    // COMMAND ended before it was ready: there is nothing to save, and its own status says the rest.
    if (!signal.aborted) context.log.error(messageOf(error));
  }
}

function say(context: CommandContext, level: Parameters<typeof settingsLog>[1], result: Report): void {
  const log = settingsLog(context, level);
  if (result.status === "ERROR") log.error(reportText(result));
  else log.info(reportText(result));
}

function forCommand(command: readonly string[]): { forCommand?: string } {
  return command[0] === undefined ? {} : { forCommand: command[0] };
}

/** Before COMMAND starts a signal ends this program; afterwards it is COMMAND's. */
class SignalRelay {
  /** What this program exits with, if a signal came before COMMAND was started. */
  exitStatus: number | undefined;
  readonly #beforeStart = new AbortController();
  readonly #stopListening: () => void;
  readonly #keyboardReachesChild: boolean;
  #child: Child | undefined;
  #received: string | undefined;

  constructor({ system }: CommandContext) {
    this.#keyboardReachesChild = system.stdio.stdinIsTerminal;
    this.#stopListening = system.processes.onSignals(forwarded, (name) => this.#receive(name));
  }

  get beforeStart(): AbortSignal {
    return this.#beforeStart.signal;
  }

  /** From here on signals are COMMAND's, one that came while it was being started included. */
  forwardTo(child: Child): void {
    this.#child = child;
    if (this.#received !== undefined) child.kill(this.#received);
  }

  stop(): void {
    this.#stopListening();
  }

  #receive(name: string): void {
    if (this.#child) {
      if (!this.#keyboardReachesChild || !fromKeyboard.includes(name)) this.#child.kill(name);
      return;
    }
    const status = ending.get(name);
    if (status === undefined) return;
    this.#received = name;
    this.exitStatus = status;
    this.#beforeStart.abort(new CacheError("interrupted", `interrupted by ${name}`));
  }
}
