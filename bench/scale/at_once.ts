/** What fifty replicas that start at once on one machine cost, beside one that is alone. */
import * as os from "node:os";
import type { LoadersAtOnce } from "../comparison/results.ts";
import type { Places } from "../contenders/contender.ts";
import { asBinary, program } from "../contenders/program.ts";
import { remove } from "../places.ts";
import { runCommand } from "../processes/command.ts";
import { median } from "../race.ts";
import { trees } from "../trees/trees.ts";
import { runWave } from "./wave.ts";

const loaders = 50;
const aloneRounds = 7;

/** Saves and loads tree a once, so that all is as it is for a replica of a running fleet; removes it again. */
export async function measureLoadersAtOnce(
  places: Places,
): Promise<LoadersAtOnce> {
  const { tree, base } = places;
  const own = program(places, asBinary);
  const wave = (count: number) => runWave({ count, base, store: own.stored, tree });
  try {
    await trees.a.make(tree);
    for (const operation of ["save", "load"] as const) {
      await own.prepare(operation);
      await runCommand(own.command(operation));
    }
    const alone = Array.from({ length: aloneRounds }, () => wave(1).cpuMs);
    return {
      loaders,
      wallMs: wave(loaders).wallMs,
      oneCpuMs: median(alone),
      cores: os.availableParallelism(),
    };
  } finally {
    remove(tree, places.target, own.stored);
  }
}
