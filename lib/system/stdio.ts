/** Standard output and error, written whole before a call returns. */
import * as fs from "node:fs";
import process from "node:process";
import type { Stdio } from "../system.ts";
import { isTerminal } from "./terminal.ts";

function writeAll(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) {
    try {
      written += fs.writeSync(fd, bytes, written);
    } catch (error) {
      const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
      // A pipe that is full for now: its reader is slower than we are.
      if (code === "EAGAIN") continue;
      // A reader that has gone away (`b10-compile-cache list | head`) is no failure of ours.
      if (code === "EPIPE") return;
      throw error;
    }
  }
}

export function realStdio(): Stdio {
  return {
    argv: process.argv.slice(2),
    get stdinIsTerminal() {
      return isTerminal(0);
    },
    get stderrIsTerminal() {
      return isTerminal(2);
    },
    // Made when it is first asked for: the streams of node take a while to load.
    get stderrStream() {
      return process.stderr;
    },
    stdout: (text) => writeAll(1, text),
    stderr: (text) => writeAll(2, text),
  };
}
