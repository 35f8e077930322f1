/** The simulated fleets of one tree as a plot. */
import { ours } from "../contenders/program.ts";
import { lineChart } from "../plot/lines.ts";
import type { TreeId } from "../trees/trees.ts";
import type { Simulated } from "./results.ts";
import { gigabytesPerSecond } from "./simulate.ts";

/** @param simulated of one tree */
export function plotScale(
  simulated: readonly Simulated[],
  title: string,
): string {
  return lineChart({
    title,
    x: {
      title: "replicas that start at once",
      kind: "log",
      format: (count) => count.toLocaleString("en"),
    },
    y: {
      title: "until the cache is loaded",
      kind: "log",
      format: (seconds) => `${seconds.toLocaleString("en")} s`,
    },
    lines: simulated.flatMap(({ name, fleets }) =>
      gigabytesPerSecond.map((bandwidth, group) => ({
        name: `${name}, ${bandwidth} GB/s`,
        points: fleets.filter((fleet) => fleet.gigabytesPerSecond === bandwidth)
          .map(({ replicas, ms }) => ({ x: replicas, y: ms / 1000 })),
        group,
        ...(name === ours ? {} : { dashed: true as const }),
      }))
    ),
  });
}

export function ofTree(
  simulated: readonly Simulated[],
  tree: TreeId,
): Simulated[] {
  return simulated.filter((one) => one.tree === tree);
}
