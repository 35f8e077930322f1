/** The arguments of `deno task bench:pipeline`. */
import { parseArgs } from "node:util";
import { readCount, readKnown } from "../arguments.ts";
import { type TableId, tableIds } from "./tables.ts";

const defaults = { rounds: "5", tables: tableIds.join(",") } as const;

export const usage = `deno task bench:pipeline [--rounds ${defaults.rounds}] [--tables LIST]

Measures what the choices of packing and unpacking rest on, in memory: each variant in turn, in a process of its own where
its memory is told. Writes bench/results/pipeline.json.

  --rounds N     each variant is measured N times, in turn, after one round to warm up (default ${defaults.rounds})
  --tables LIST  ${tableIds.join(", ")} (default: all)
  --help         prints this`;

export interface PipelineArguments {
  readonly rounds: number;
  readonly tables: readonly TableId[];
}

/** @returns undefined where help is asked for. @throws {Error} for anything that is not in `usage` */
export function readArguments(
  argv: readonly string[],
): PipelineArguments | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rounds: { type: "string", default: defaults.rounds },
      tables: { type: "string", default: defaults.tables },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    rounds: readCount("--rounds", values.rounds),
    tables: readKnown("--tables", values.tables, tableIds),
  };
}
