/** share.ts [--rounds N]: what this program asks of a network file system, and what the latency of one costs. */
import { parseArgs } from "node:util";
import { readCount } from "./arguments.ts";
import { describeMachine } from "./machine.ts";
import { enterMemoryPlace } from "./memory_place.ts";
import { makePlaces } from "./places.ts";
import { writeJson, writeResult } from "./results.ts";
import { commandLine, runScript } from "./script.ts";
import { measureShare } from "./share/measure.ts";
import { plotShare } from "./share/plot.ts";
import { describeShare } from "./share/report.ts";
import type { ShareResult } from "./share/results.ts";

const usage = `deno task bench:share [--rounds 7]

Counts the file-system operations on the store of one load and one save, and times both with every operation on the
store delayed by 0, 1, 5 and 20 ms. Writes bench/results/share.json and share.svg.`;

function readRounds(argv: readonly string[]): number | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rounds: { type: "string", default: "7" },
      help: { type: "boolean", default: false },
    },
  });
  return values.help ? undefined : readCount("--rounds", values.rounds);
}

async function measure(rounds: number): Promise<ShareResult> {
  using memory = enterMemoryPlace();
  return {
    command: commandLine("bench:share"),
    takenAt: new Date().toISOString(),
    machine: await describeMachine(memory.base),
    rounds,
    operations: await measureShare(makePlaces(memory.base), { rounds }),
  };
}

await runScript({
  usage,
  read: readRounds,
  act: async (rounds) => {
    const result = await measure(rounds);
    console.log(describeShare(result));
    writeJson("share.json", result);
    writeResult("share.svg", plotShare(result));
  },
});
