/** What `task stress` is asked for. */
import { parseArgs } from "node:util";

export interface Options {
  /** How long the pods hammer the store; the checks come after that. */
  readonly minutes: number;
  readonly savers: number;
  readonly loaders: number;
  readonly pruners: number;
  readonly seed: number;
  /** Of a hundred processes so many are killed, and as many are stopped for a while. */
  readonly killPercent: number;
}

export type Population = Pick<Options, "savers" | "loaders" | "pruners">;

/** @throws {Error} for words that are none of these options, or a value that is no number */
export function readOptions(args: readonly string[], { savers, loaders, pruners }: Population): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      savers: { type: "string", default: String(savers) },
      loaders: { type: "string", default: String(loaders) },
      pruners: { type: "string", default: String(pruners) },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1_000_000)) },
      kill: { type: "string", default: "8" },
    },
  });
  if (positionals.length > 1) {
    throw new Error(`Cannot use "${positionals.join(" ")}" as MINUTES is one number`);
  }
  return {
    minutes: readNumber("MINUTES", positionals[0] ?? "3"),
    savers: readNumber("--savers", values.savers),
    loaders: readNumber("--loaders", values.loaders),
    pruners: readNumber("--pruners", values.pruners),
    seed: readNumber("--seed", values.seed),
    killPercent: readNumber("--kill", values.kill),
  };
}

function readNumber(name: string, text: string): number {
  const value = Number(text);
  if (text !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new Error(`Cannot use ${name} "${text}" as it must be a number, 0 or more`);
}
