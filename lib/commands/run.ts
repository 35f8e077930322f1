/**
 * The command `run [--] COMMAND…`: load before COMMAND starts, save once its server is ready, and otherwise be as if
 * COMMAND had been started by itself: same stdio, every signal, its own exit status.
 */
import { type Config, whyNothingIsSaved } from "../config.ts";
import { CacheError, errnoOf, messageOf } from "../errors.ts";
import { resolveParentSettings } from "../pod.ts";
import { probeUrl } from "../server.ts";
import { shownUrl } from "../socket_url.ts";
import type { Baseline } from "../start.ts";
import { exitStatus, reportError } from "../status.ts";
import type { Child } from "../system.ts";
import { isSuspectDeath, suspectContent } from "./circuit_breaker.ts";
import type { CommandContext, CommonFlags } from "./context.ts";
import type { RootFlags } from "./root_choice.ts";
import { type ReportFiles, StartReport } from "./run_report.ts";
import {
  accompanyServer,
  loadForStart,
  operateForStart,
  type ServerStart,
  takeBaseline,
} from "./server_start.ts";

export interface RunFlags extends CommonFlags, RootFlags, ReportFiles {
  /** Where COMMAND dies after a restore before it is ready: empty the caches and start it once more. */
  readonly retryCold?: boolean;
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

/** How long later requests are watched for what they compile, where no setting says so. */
const defaultWatchS = 30 * 60;

export async function runCommand(
  context: CommandContext,
  command: readonly string[],
  flags: RunFlags,
): Promise<number> {
  const { system } = context;
  const onProblem = (problem: string) => context.log.error(problem);
  const report = new StartReport(system, "run", { files: flags, onProblem });
  const relay = new SignalRelay(context);
  try {
    const config = await settingsOrNone(context);
    const start = config && startOf({ context, config, report, flags, command });
    if (start) await loadForStart(start, relay.whileIdle);
    if (relay.exitStatus !== undefined) return relay.exitStatus;
    const run: Run = { context, command, report, relay, start };
    const first = await runOnce(run);
    const last = flags.retryCold && first.isSuspect ? await retryCold(run, first) : first;
    await report.note({ commandStatus: last.status });
    return last.status;
  } finally {
    relay.stop();
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

function startOf(
  { command: [forCommand], ...start }: Omit<ServerStart, "forCommand"> & { command: readonly string[] },
): ServerStart {
  return { ...start, ...(forCommand === undefined ? {} : { forCommand }) };
}

interface Run {
  readonly context: CommandContext;
  readonly command: readonly string[];
  readonly report: StartReport;
  readonly relay: SignalRelay;
  /** undefined where the settings are wrong: then COMMAND runs without a cache. */
  readonly start: ServerStart | undefined;
}

interface Ran {
  readonly status: number;
  /** It died after a restore, before it was ready. */
  readonly isSuspect: boolean;
}

/** Starts COMMAND and goes with it to its end. */
async function runOnce(run: Run): Promise<Ran> {
  const { context: { system }, start, relay, report } = run;
  const baseline = start && await takeBaseline(start);
  const startedMs = system.clock.monotonicMs();
  const child = await startCommand(run);
  if (typeof child === "number") return { status: child, isSuspect: false };
  relay.forwardTo(child);
  const status = start ? await overlook(start, { run, child, baseline, startedMs }) : await child.exited;
  relay.stopForwarding();
  const isSuspect = start !== undefined && isSuspectDeath({
    status,
    record: report.record,
    wasToldToEnd: relay.hasForwardedEnd,
    ranForMs: system.clock.monotonicMs() - startedMs,
    soonMs: start.config.serverTimeoutS * 1000,
  });
  if (isSuspect) await accuse(start, relay.whileIdle);
  return { status, isSuspect };
}

async function startCommand({ context: { system, log }, command }: Run): Promise<Child | number> {
  try {
    return await system.processes.start(command);
  } catch (error) {
    const errno = errnoOf(error);
    log.error(`Cannot start ${JSON.stringify(command[0])}: ${errno ?? messageOf(error)}`);
    return errno === "ENOENT" ? exitStatus.notFound : exitStatus.notExecutable;
  }
}

interface Overseen {
  readonly run: Run;
  readonly child: Child;
  readonly baseline: Baseline | undefined;
  readonly startedMs: number;
}

/** Waits for COMMAND's end, and meanwhile saves once its server is ready. */
async function overlook(start: ServerStart, { run, child, baseline, startedMs }: Overseen): Promise<number> {
  const { clock } = run.context.system;
  const ended = new AbortController();
  let saving: Promise<unknown> | undefined;
  const accompanying = goWith(start, {
    url: probeUrl(run.command, start.config.serverUrl),
    startedMs,
    baseline,
    watchS: start.config.watchS ?? defaultWatchS,
    signal: ended.signal,
    onSaving: (save) => void (saving = save),
  });
  const status = await child.exited;
  if (saving) await Promise.race([saving, clock.sleep(finishSaveMs)]);
  ended.abort(new CacheError("interrupted", "the command has ended"));
  await accompanying;
  return status;
}

async function goWith(start: ServerStart, server: Parameters<typeof accompanyServer>[1]): Promise<void> {
  const { context, config, report } = start;
  try {
    if (await accompanyServer(start, server)) return;
    const silence = `the server did not answer at ${shownUrl(server.url)} within ${config.serverTimeoutS} s`;
    if (whyNothingIsSaved(config) !== undefined) {
      context.log.warning(silence);
      return;
    }
    const message = `${silence}, so nothing is saved`;
    const error = new CacheError("deadline", message);
    await report.note({
      save: reportError(error, { operation: "save", elapsedMs: config.serverTimeoutS * 1000 }),
    });
    context.log.warning(message);
  } catch (error) {
    // COMMAND ended before it was ready: there is nothing to save, and its own status says the rest.
    if (!server.signal.aborted) context.log.error(messageOf(error));
  }
}

/** Nobody else is to die of it. */
async function accuse(start: ServerStart, signal: AbortSignal): Promise<void> {
  const content = suspectContent(start.report.record);
  if (content === undefined) return;
  start.context.log.warning(
    "the command died after a restore, before it was ready: the cache is suspect until another one is saved",
  );
  await operateForStart(start, {
    operation: "suspect",
    timeoutMs: start.config.loadTimeoutS * 1000,
    signal,
    options: ["--content", content],
  });
}

/** Once, with empty caches, unless a signal ends it first: what is compiled then takes the suspect's place. */
async function retryCold(run: Run, first: Ran): Promise<Ran> {
  const { start, report, relay } = run;
  if (relay.whileIdle.aborted) return first;
  if (!start) throw new CacheError("internal", "there is nothing to retry without");
  const suspect = suspectContent(report.record);
  start.context.log.warning("the caches are emptied, and the command is started once more");
  await operateForStart(start, {
    operation: "clear",
    timeoutMs: start.config.loadTimeoutS * 1000,
    signal: relay.whileIdle,
  });
  if (relay.whileIdle.aborted) return first;
  const load = { ...missed, ...(suspect === undefined ? {} : { suspect }) };
  await report.note({ load, coldStartS: null, proof: null, readyS: null });
  const last = await runOnce(run);
  return { ...last, isSuspect: false };
}

const missed = {
  operation: "load",
  status: "DOES_NOT_EXIST",
  elapsed_ms: 0,
  message: "the command is retried with empty caches",
} as const;

/** While COMMAND runs a signal is its own; before, and after, it ends this program. */
class SignalRelay {
  /** What this program exits with, if a signal came before COMMAND was started. */
  exitStatus: number | undefined;
  readonly #whileIdle = new AbortController();
  readonly #stopListening: () => void;
  readonly #keyboardReachesChild: boolean;
  #child: Child | undefined;
  #received: string | undefined;
  #hasForwardedEnd = false;

  constructor({ system }: CommandContext) {
    this.#keyboardReachesChild = system.stdio.stdinIsTerminal;
    this.#stopListening = system.processes.onSignals(forwarded, (name) => this.#receive(name));
  }

  /** COMMAND was told to end: its death accuses nobody. */
  get hasForwardedEnd(): boolean {
    return this.#hasForwardedEnd;
  }

  /** Is aborted by a signal that ends this program. */
  get whileIdle(): AbortSignal {
    return this.#whileIdle.signal;
  }

  /** From here on signals are COMMAND's, one that came while it was being started included. */
  forwardTo(child: Child): void {
    this.#child = child;
    if (this.#received !== undefined) child.kill(this.#received);
  }

  /** COMMAND has ended: its number may be another process's by now. */
  stopForwarding(): void {
    this.#child = undefined;
  }

  stop(): void {
    this.#stopListening();
  }

  #receive(name: string): void {
    if (this.#child) {
      if (ending.has(name)) this.#hasForwardedEnd = true;
      if (!this.#keyboardReachesChild || !fromKeyboard.includes(name)) this.#child.kill(name);
      return;
    }
    const status = ending.get(name);
    if (status === undefined) return;
    this.#received = name;
    this.exitStatus = status;
    this.#whileIdle.abort(new CacheError("interrupted", `interrupted by ${name}`));
  }
}
