import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type LogLevel, logLevels } from "../lib/config.ts";
import { createLog } from "../lib/log.ts";
import type { Stdio } from "../lib/system.ts";
import { only } from "./fake_system.ts";

/** What is written to stderr; anything written to stdout fails the test. */
function written(level: LogLevel, colors: boolean, texts: { readonly [level: string]: string }): string {
  let lines = "";
  const stdio = only<Stdio>("stdio", {
    stderr: (text) => {
      lines += text;
    },
  });
  const log = createLog(stdio, { level, colors });
  log.debug(texts["debug"] ?? "");
  log.info(texts["info"] ?? "");
  log.warning(texts["warning"] ?? "");
  log.error(texts["error"] ?? "");
  return lines;
}

const texts = { debug: "d", info: "i", warning: "w", error: "e" };
const line = {
  debug: "b10-compile-cache: d\n",
  info: "b10-compile-cache: i\n",
  warning: "b10-compile-cache: warning: w\n",
  error: "b10-compile-cache: error: e\n",
};

const levels: { readonly [L in LogLevel]: string } = {
  debug: line.debug + line.info + line.warning + line.error,
  info: line.info + line.warning + line.error,
  warning: line.warning + line.error,
  error: line.error,
  critical: "",
};

test("createLog() writes to stderr what is at least of its level", () => {
  for (const level of logLevels) assert.equal(written(level, false, texts), levels[level], level);
});

test("createLog() colours the words warning and error, where there are colours at all", () => {
  assert.equal(
    written("info", true, texts),
    "b10-compile-cache: i\n" +
      "b10-compile-cache: \x1b[33mwarning: \x1b[0mw\n" +
      "b10-compile-cache: \x1b[31merror: \x1b[0me\n",
  );
});

test("a message from outside stays on its line, moves no cursor and turns no text round", () => {
  const message = "a\nb10-compile-cache: load SUCCESS\r\t\x1b[2J\x9b1m\u202e\u2028 日本語";
  assert.equal(
    written("error", false, { error: message }),
    "b10-compile-cache: error: a\\u000ab10-compile-cache: load SUCCESS\\u000d\\u0009\\u001b[2J\\u009b1m\\u202e\\u2028 日本語\n",
  );
});

test("without colours no message makes a log with ANSI sequences or more than one line", () => {
  const hostile = fc.array(fc.oneof(fc.constantFrom("\n", "\r", "\x1b[31m", "\x9b", "\u2029"), fc.string()));
  fc.assert(fc.property(hostile, (parts) => {
    const lines = written("error", false, { error: parts.join("") });
    assert.match(lines, /^[^\p{Cc}\u2028\u2029]*\n$/u);
  }));
});
