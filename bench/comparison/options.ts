/** The arguments of `deno task bench`. */
import { parseArgs } from "node:util";
import { readCount, readKnown } from "../arguments.ts";
import { type RivalId, rivalIds } from "../contenders/choose.ts";
import { type TreeId, treeIds } from "../trees/trees.ts";

export const usage = `deno task bench [--rounds 7] [--trees ${treeIds.join(",")}] [--without RIVALS]

Compares this program with its rivals, as whole processes in memory, and says which targets are met. Writes
bench/results/comparison.json and the plots beside it.

  --rounds N    each is measured N times, in turn, after one round to warm up (default 7)
  --trees LIST  a: a real H100 cache; b: 20 of it, perturbed; c: 70,000 files of 2 KB (default: all)
  --without LIST  leaves rivals out: ${rivalIds.join(", ")}
  --help        prints this

PEER_VENV names the Python environment that has b10-transfer==0.4.1; restic takes part where it is installed.`;

export interface CompareArguments {
  readonly rounds: number;
  readonly trees: readonly TreeId[];
  readonly without: readonly RivalId[];
}

const defaultRounds = 7;

/** @returns undefined where help is asked for. @throws {Error} for anything that is not in `usage` */
export function readArguments(
  argv: readonly string[],
): CompareArguments | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rounds: { type: "string", default: String(defaultRounds) },
      trees: { type: "string", default: treeIds.join(",") },
      without: { type: "string", default: "" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    rounds: readCount("--rounds", values.rounds),
    trees: readKnown("--trees", values.trees, treeIds),
    without: readKnown("--without", values.without, rivalIds),
  };
}
