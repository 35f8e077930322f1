/** The arguments of `deno task bench:scale`. */
import { parseArgs } from "node:util";
import { readCount, readKnown, readWords } from "../arguments.ts";
import { type TreeId, treeIds } from "../trees/trees.ts";

const defaults = { loaders: "1,8,50,200", rounds: "7", trees: "a,b" } as const;

export const usage =
  `deno task bench:scale [--loaders ${defaults.loaders}] [--rounds 7] [--trees ${defaults.trees}]

Starts that many loaders at once, each a process with directories of its own, and checks that each has every file and
that the store is as it was. Then simulates fleets on shares of 1, 5 and 20 GB/s from what one replica costs. Writes
bench/results/scale.json, and a plot for each tree.

  --loaders LIST  how many at once
  --rounds N      one replica's load is measured N times for the simulation
  --trees LIST    what is simulated: ${treeIds.join(", ")}
  --help          prints this

PEER_VENV names the Python environment that has b10-transfer==0.4.1, which is then simulated as well.`;

export interface ScaleArguments {
  readonly loaders: readonly number[];
  readonly rounds: number;
  readonly trees: readonly TreeId[];
}

/** @returns undefined where help is asked for. @throws {Error} for anything that is not in `usage` */
export function readArguments(
  argv: readonly string[],
): ScaleArguments | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      loaders: { type: "string", default: defaults.loaders },
      rounds: { type: "string", default: defaults.rounds },
      trees: { type: "string", default: defaults.trees },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    loaders: readWords(values.loaders).map((word) => readCount("--loaders", word)),
    rounds: readCount("--rounds", values.rounds),
    trees: readKnown("--trees", values.trees, treeIds),
  };
}
