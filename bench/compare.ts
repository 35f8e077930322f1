/** compare.ts: this program against its rivals; see comparison/options.ts, or --help. */
import { compareTree } from "./comparison/compare_tree.ts";
import { type CompareArguments, readArguments, usage } from "./comparison/options.ts";
import { plotComparison } from "./comparison/plots.ts";
import { describeComparison } from "./comparison/report.ts";
import type { Comparison, LoadersAtOnce, TreeResult } from "./comparison/results.ts";
import { judge } from "./comparison/targets.ts";
import { chooseContenders } from "./contenders/choose.ts";
import { asBinary, program } from "./contenders/program.ts";
import { describeMachine } from "./machine.ts";
import { enterMemoryPlace } from "./memory_place.ts";
import { memoryProblem } from "./memory_needed.ts";
import { makePlaces } from "./places.ts";
import { writeJson, writeResult } from "./results.ts";
import { commandLine, runScript } from "./script.ts";
import { measureLoadersAtOnce } from "./scale/waves.ts";
import { watchedProgram } from "./share/watched_contender.ts";
import { trees } from "./trees/trees.ts";

async function compare(
  { rounds, trees: ids, without }: CompareArguments,
): Promise<Comparison> {
  using memory = enterMemoryPlace();
  const places = makePlaces(memory.base);
  const { contenders, leftOut } = await chooseContenders(places, {
    without,
    canHostPeer: memory.isBelowCache,
  });
  const watched = await watchedProgram(places);
  const results: TreeResult[] = [];
  for (const id of ids) {
    const problem = memoryProblem(trees[id].neededBytes);
    if (problem !== undefined) {
      throw new Error(
        `Cannot measure tree ${id} as ${problem}; leave it out with --trees`,
      );
    }
    const onStep = (text: string) => console.error(`tree ${id}: ${text}`);
    results.push(
      await compareTree(id, { places, contenders, watched }, {
        rounds,
        onStep,
      }),
    );
  }
  const loadersAtOnce: LoadersAtOnce | undefined = ids.includes("a")
    ? await measureLoadersAtOnce(places, program(places, asBinary))
    : undefined;
  return {
    command: commandLine("bench"),
    takenAt: new Date().toISOString(),
    machine: await describeMachine(memory.base),
    rounds,
    leftOut,
    trees: results,
    ...(loadersAtOnce ? { loadersAtOnce } : {}),
  };
}

await runScript({
  usage,
  read: readArguments,
  act: async (given) => {
    const comparison = await compare(given);
    console.log(describeComparison(comparison));
    writeJson("comparison.json", { ...comparison, targets: judge(comparison) });
    for (const [name, svg] of plotComparison(comparison)) {
      writeResult(name, svg);
    }
  },
});
