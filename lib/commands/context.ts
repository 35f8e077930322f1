/** What every command is given, and how it reports. */
import type { FlagValues, LogLevel } from "../config.ts";
import { createLog, type Log } from "../log.ts";
import { noProgress, type ProgressMaker, progressMaker } from "../progress.ts";
import { exitStatusOf, type Report, reportText } from "../status.ts";
import type { System } from "../system.ts";
import { escapeUnseen, printableJson } from "../text.ts";

/** The flags that all commands share, as the command line gave them. */
export interface CommonFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  /** False for --no-color. */
  readonly color?: boolean;
  readonly key?: string;
  readonly namespace?: string;
  readonly readOnly?: boolean;
  readonly failOnMiss?: boolean;
}

export interface CommandContext {
  readonly system: System;
  readonly flags: CommonFlags;
  /** Settings that flags override. */
  readonly flagValues: FlagValues;
  readonly log: Log;
  readonly makeProgress: ProgressMaker;
}

export async function createContext(system: System, flags: CommonFlags): Promise<CommandContext> {
  return {
    system,
    flags,
    flagValues: {
      ...(flags.key === undefined ? {} : { pinnedKey: flags.key }),
      ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
      ...(flags.readOnly ? { readOnly: "1" } : {}),
    },
    log: createLog(system.stdio, { level: logLevel(flags), colors: useColors(system, flags) }),
    makeProgress: flags.quiet || flags.json
      ? () => noProgress
      : await progressMaker(system, system.stdio.stderrIsTerminal && system.env["TERM"] !== "dumb"),
  };
}

/** What B10_TRANSFER_CLI_LOGLEVEL says is applied once the settings are read: `settingsLog`. */
function logLevel(flags: CommonFlags): LogLevel {
  if (flags.quiet) return "error";
  return flags.verbose ? "debug" : "info";
}

function useColors(system: System, flags: CommonFlags): boolean {
  return system.stdio.stderrIsTerminal && flags.color !== false && !system.env["NO_COLOR"];
}

/** The log as flags and settings together want it: a flag wins. */
export function settingsLog(context: CommandContext, level: LogLevel): Log {
  if (context.flags.quiet || context.flags.verbose) return context.log;
  return createLog(context.system.stdio, { level, colors: useColors(context.system, context.flags) });
}

/** Prints lines for people, to stdout: what comes from outside in them moves no cursor. */
export function printLines({ stdio }: System, text: string): void {
  stdio.stdout(`${text.split("\n").map(escapeUnseen).join("\n")}\n`);
}

/** Prints the result, to stdout, as the last thing an operation does. */
export function printReport(context: CommandContext, report: Report): void {
  const { stdio } = context.system;
  if (context.flags.json) stdio.stdout(`${printableJson(report)}\n`);
  else if (report.status === "ERROR") context.log.error(reportText(report));
  else if (!context.flags.quiet) printLines(context.system, reportText(report));
}

/** Prints the result and says which exit status it stands for. */
export function finish(context: CommandContext, report: Report): number {
  printReport(context, report);
  return exitStatusOf(report, { failOnMiss: context.flags.failOnMiss === true });
}
