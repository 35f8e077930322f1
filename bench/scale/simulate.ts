/** The fleets that are simulated. Pure. */
import type { TreeId } from "../trees/trees.ts";
import type { Replica } from "./replica.ts";
import type { Simulated } from "./results.ts";
import { loadMs } from "./simulation.ts";

export const gigabytesPerSecond = [1, 5, 20] as const;

/** Points of the plot, evenly apart on its axis. */
export const replicaCounts = [
  1,
  3,
  10,
  30,
  100,
  300,
  1_000,
  3_000,
  10_000,
] as const;

/** Of one operation on a network file system in the same data centre. */
export const latencyMs = 1;

export function simulate(tree: TreeId, { name, cost }: Replica): Simulated {
  const fleets = gigabytesPerSecond.flatMap((gigabytes) =>
    replicaCounts.map((replicas) => ({
      replicas,
      gigabytesPerSecond: gigabytes,
      ms: loadMs(cost, {
        replicas,
        latencyMs,
        bytesPerSecond: gigabytes * 1e9,
      }),
    }))
  );
  return { tree, name, cost, fleets };
}
