/** Lines for the log, on stderr. */
import { type LogLevel, logLevels } from "./config.ts";
import type { Stdio } from "./system.ts";

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

/** Anything that could move a cursor or forge a line is shown, not sent: values from outside end up in messages. */
function onOneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

export function createLog(stdio: Stdio, options: LogOptions): Log {
  const least = logLevels.indexOf(options.level);
  const write = (level: "debug" | "info" | "warning" | "error") => (text: string) => {
    if (logLevels.indexOf(level) < least) return;
    const label = level === "warning" || level === "error" ? `${level}: ` : "";
    const color = options.colors && (level === "warning" || level === "error") ? ansi[level] : "";
    stdio.stderr(`b10-compile-cache: ${color}${label}${color && ansi.reset}${onOneLine(text)}\n`);
  };
  return { debug: write("debug"), info: write("info"), warning: write("warning"), error: write("error") };
}
