/** scale.ts: many replicas at once, real ones and simulated ones; see scale/options.ts, or --help. */
import { chooseContenders } from "./contenders/choose.ts";
import type { Places } from "./contenders/contender.ts";
import { asBinary, program } from "./contenders/program.ts";
import { describeMachine } from "./machine.ts";
import { enterMemoryPlace } from "./memory_place.ts";
import { makePlaces } from "./places.ts";
import { writeJson, writeResult } from "./results.ts";
import { commandLine, runScript } from "./script.ts";
import { readArguments, type ScaleArguments, usage } from "./scale/options.ts";
import { ofTree, plotScale } from "./scale/plot.ts";
import { measureReplicas } from "./scale/replica.ts";
import { describeScale } from "./scale/report.ts";
import type { ScaleResult, Simulated } from "./scale/results.ts";
import { latencyMs, simulate } from "./scale/simulate.ts";
import { playWaves } from "./scale/waves.ts";
import { watchedProgram } from "./share/watched_contender.ts";
import { trees } from "./trees/trees.ts";

async function measure(
  { loaders, rounds, trees: ids }: ScaleArguments,
): Promise<ScaleResult> {
  using memory = enterMemoryPlace();
  const places = makePlaces(memory.base);
  const { waves, leftOut } = await playWaves(
    places,
    program(places, asBinary),
    loaders,
  );
  return {
    command: commandLine("bench:scale"),
    takenAt: new Date().toISOString(),
    machine: await describeMachine(memory.base),
    waves,
    leftOut,
    latencyMs,
    simulated: await simulateTrees(places, {
      ids,
      rounds,
      canHostPeer: memory.isBelowCache,
    }),
  };
}

async function simulateTrees(
  places: Places,
  { ids, rounds, canHostPeer }: {
    ids: ScaleArguments["trees"];
    rounds: number;
    canHostPeer: boolean;
  },
): Promise<Simulated[]> {
  const { contenders } = await chooseContenders(places, {
    without: ["deno", "tar-zstd", "tar-gzip", "cp", "restic"],
    canHostPeer,
  });
  const watched = await watchedProgram(places);
  const simulated: Simulated[] = [];
  for (const id of ids) {
    console.error(`one replica of tree ${id}`);
    const replicas = await measureReplicas(
      id,
      { places, contenders, watched },
      { rounds },
    );
    simulated.push(...replicas.map((replica) => simulate(id, replica)));
  }
  return simulated;
}

await runScript({
  usage,
  read: readArguments,
  act: async (given) => {
    const result = await measure(given);
    console.log(describeScale(result));
    writeJson("scale.json", result);
    for (const id of given.trees) {
      const title = `Simulated: the time until every replica has loaded ${trees[id].title}`;
      writeResult(
        `scale-${id}.svg`,
        plotScale(ofTree(result.simulated, id), title),
      );
    }
  },
});
