/** pipeline.ts: what the choices of packing and unpacking rest on; see pipeline/options.ts, or --help. */
import { describeMachine } from "./machine.ts";
import { memoryProblem } from "./memory_needed.ts";
import { enterMemoryPlace } from "./memory_place.ts";
import { measureTree } from "./pipeline/measure_tree.ts";
import { type PipelineArguments, readArguments, usage } from "./pipeline/options.ts";
import { describePipeline } from "./pipeline/report.ts";
import type { MeasuredTable, PipelineResult } from "./pipeline/results.ts";
import { tables } from "./pipeline/tables.ts";
import { makePlaces } from "./places.ts";
import { writeJson } from "./results.ts";
import { commandLine, runScript } from "./script.ts";
import { treeIds, trees } from "./trees/trees.ts";

async function measure(
  { rounds, tables: asked }: PipelineArguments,
): Promise<PipelineResult> {
  using memory = enterMemoryPlace();
  const places = makePlaces(memory.base);
  const measured: MeasuredTable[] = [];
  const leftOut: string[] = [];
  for (const id of treeIds) {
    const wanted = asked.filter((table) => tables[table].trees.includes(id));
    if (wanted.length === 0) continue;
    const problem = memoryProblem(trees[id].neededBytes);
    if (problem) {
      leftOut.push(`Tree ${id} is left out as ${problem}.`);
      continue;
    }
    const onStep = (text: string) => console.error(`tree ${id}: ${text}`);
    measured.push(
      ...await measureTree(id, { places, wanted }, { rounds, onStep }),
    );
  }
  return {
    command: commandLine("bench:pipeline"),
    takenAt: new Date().toISOString(),
    machine: await describeMachine(memory.base),
    measured: measured.sort((a, b) => asked.indexOf(a.table) - asked.indexOf(b.table)),
    leftOut,
  };
}

await runScript({
  usage,
  read: readArguments,
  act: async (given) => {
    const result = await measure(given);
    console.log(describePipeline(result));
    writeJson("pipeline.json", result);
  },
});
