/** Lines for the log, on stderr. */
import { type LogLevel, logLevels } from "./config.ts";
import type { Stdio } from "./system.ts";
import { escapeUnseen } from "./text.ts";

export interface Log {
  debug(text: string): void;
  info(text: string): void;
  warning(text: string): void;
  error(text: string): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Only ever on a terminal. */
  readonly colors: boolean;
}

const ansi = { warning: "\x1b[33m", error: "\x1b[31m", reset: "\x1b[0m" } as const;

export function createLog(stdio: Stdio, options: LogOptions): Log {
  const least = logLevels.indexOf(options.level);
  const write = (level: "debug" | "info" | "warning" | "error") => (text: string) => {
    if (logLevels.indexOf(level) < least) return;
    const label = level === "warning" || level === "error" ? `${level}: ` : "";
    const color = options.colors && (level === "warning" || level === "error") ? ansi[level] : "";
    // Values from outside end up in messages: nothing in them moves a cursor or forges a line.
    stdio.stderr(`b10-compile-cache: ${color}${label}${color && ansi.reset}${escapeUnseen(text)}\n`);
  };
  return { debug: write("debug"), info: write("info"), warning: write("warning"), error: write("error") };
}
