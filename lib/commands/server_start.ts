/** What `run` and the automatic mode have in common: the load before, the caches on this pod, the saves after. */
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import { resolveLocalSettings } from "../pod.ts";
import { confineRoots } from "../pod_roots.ts";
import { takeSnapshot } from "../snapshot.ts";
import { accompany, type Baseline, type SaveAbout } from "../start.ts";
import { stateDir } from "../state_dir.ts";
import { type Report, reportText } from "../status.ts";
import { type ChildOperation, runChild } from "./child_operation.ts";
import { type CommandContext, settingsLog } from "./context.ts";
import { rootChoice, type RootFlags } from "./root_choice.ts";
import type { StartReport } from "./run_report.ts";

/** Which of this pod's files holds the last start: `status` shows it. */
export const lastStartName = "last-start.json";

export interface ServerStart {
  readonly context: CommandContext;
  readonly config: Config;
  readonly report: StartReport;
  readonly flags: RootFlags;
  /** The command whose Python decides the key. */
  readonly forCommand?: string;
}

/** By default every cache of the pod: a server writes to several. */
function selectionOf({ flags }: ServerStart): { allRoots?: true; root: readonly string[]; vllm?: true } {
  return { ...(flags.vllm ? { vllm: true } : { allRoots: true }), root: flags.root ?? [] };
}

function rootOptions(start: ServerStart): string[] {
  const { vllm, root } = selectionOf(start);
  return [vllm ? "--vllm" : "--all-roots", ...root.flatMap((text) => ["--root", text])];
}

type Child = Pick<ChildOperation, "operation" | "timeoutMs" | "signal" | "priority"> & {
  readonly options?: readonly string[];
};

/** Starts this program for one operation on the caches of the start. It never throws. */
export async function operateForStart(start: ServerStart, child: Child): Promise<Report> {
  const done = await runChild(start.context, {
    ...child,
    options: [...rootOptions(start), ...child.options ?? []],
    ...(start.forCommand === undefined ? {} : { forCommand: start.forCommand }),
  });
  const log = settingsLog(start.context, start.config.logLevel);
  if (done.status !== "ERROR") log.info(reportText(done));
  // Automatic mode's own result says by what it was interrupted.
  else if (!child.signal.aborted || start.report.record.operation === "run") log.error(reportText(done));
  return done;
}

export async function loadForStart(start: ServerStart, signal: AbortSignal): Promise<Report> {
  const load = await operateForStart(start, {
    operation: "load",
    timeoutMs: start.config.loadTimeoutS * 1000,
    signal,
  });
  await start.report.note({ load, coldStartS: numberOf(load["cold_start_s"]) ?? null });
  return load;
}

/** @returns what lies in this pod's caches now; undefined where that cannot be told. */
export async function takeBaseline(start: ServerStart): Promise<Baseline | undefined> {
  const { context: { system, flagValues }, config } = start;
  try {
    const settings = await resolveLocalSettings(system, flagValues);
    const { selection, extra } = rootChoice(selectionOf(start));
    const roots = await confineRoots(system, settings, selection, { extra });
    const { dir } = await stateDir(system, settings, { roots, create: true });
    if (dir !== undefined) start.report.keepIn(`${dir}/${lastStartName}`);
    return { roots, snapshot: await takeSnapshot(system.fs, roots) };
  } catch (error) {
    settingsLog(start.context, config.logLevel).warning(
      `whether the cache helps cannot be told: ${messageOf(error)}`,
    );
    return undefined;
  }
}

export interface Accompanied {
  readonly url: string;
  readonly startedMs: number;
  readonly baseline: Baseline | undefined;
  readonly watchS: number;
  readonly signal: AbortSignal;
  /** Is given each save that begins, and undefined once it has ended. */
  readonly onSaving?: (save: Promise<unknown> | undefined) => void;
}

/** As `accompany`. */
export async function accompanyServer(start: ServerStart, server: Accompanied): Promise<boolean> {
  const { context, config, report } = start;
  const log = settingsLog(context, config.logLevel);
  const { load } = report.record;
  const suspect = load?.["suspect"];
  return await accompany({
    system: context.system,
    config,
    ...server,
    isRestored: load?.status === "SUCCESS" || load?.status === "SKIPPED",
    coldStartS: report.record.coldStartS ?? undefined,
    suspect: typeof suspect === "string" ? suspect : undefined,
    onReady: (readyS) => report.note({ readyS }),
    onProof: async (proof, text) => {
      log.info(text);
      await report.note({ proof });
    },
    notice: (text) => log.warning(text),
    save: async (about) => {
      const saving = operateForStart(start, {
        operation: "save",
        timeoutMs: config.saveTimeoutS * 1000,
        signal: server.signal,
        priority: "low",
        options: saveOptions(about),
      });
      server.onSaving?.(saving);
      const save = await saving;
      server.onSaving?.(undefined);
      await report.note({ save, saves: report.record.saves + 1 });
    },
  });
}

function saveOptions({ coldStartS, replacedSuspect }: SaveAbout): string[] {
  return [
    ...(coldStartS === undefined ? [] : ["--cold-start", coldStartS.toFixed(2)]),
    ...(replacedSuspect === undefined ? [] : ["--replaced-suspect", replacedSuspect]),
  ];
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
