/** What a process hands over to the one that it becomes: in its environment, which execv(2) keeps. */
import process from "node:process";
import * as v from "valibot";
import { type Answer, answerSchema } from "./answers.ts";

const variableName = "B10_CACHE_INSIDE_FENCE";

// Linux takes no variable of more than 128 KiB (MAX_ARG_STRLEN). All is a few kilobytes; what is left out is found out again.
const maxLength = 100 * 1024;

const schema = v.strictObject({
  /** Of both: what a child process inherits is not for it. */
  pid: v.number(),
  roots: v.array(v.string()),
  made: v.array(v.string()),
  answers: v.array(answerSchema),
  carried: v.optional(v.unknown()),
});

export interface HandOver {
  /** The directories that the new process can write to. */
  readonly roots: readonly string[];
  /** Those that the program has made, outermost first. */
  readonly made: readonly string[];
  readonly answers: readonly Answer[];
  /** What the new process goes on with: plain JSON. */
  readonly carried?: unknown;
}

/** The variable that hands this over. */
export function handOver(what: HandOver): { readonly name: string; readonly value: string } {
  const { carried: _, ...rest } = what;
  for (const some of [what, rest]) {
    const variable = variableOf(some);
    if (Buffer.byteLength(variable.value) <= maxLength) return variable;
  }
  return variableOf({ ...rest, answers: [] });
}

function variableOf(what: HandOver) {
  return { name: variableName, value: JSON.stringify({ pid: process.pid, ...what }) };
}

/** Takes what was handed over out of the environment. @returns undefined in a process that was started as usual. */
export function takeOver(): HandOver | undefined {
  const text = process.env[variableName];
  delete process.env[variableName];
  if (text === undefined) return undefined;
  try {
    const parsed = v.safeParse(schema, JSON.parse(text));
    return parsed.success && parsed.output.pid === process.pid ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}
