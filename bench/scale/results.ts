/** What fleets of replicas cost, as it is written to results/scale.json. */
import type { Machine } from "../machine.ts";
import type { TreeId } from "../trees/trees.ts";
import type { ReplicaCost } from "./simulation.ts";
import type { Wave } from "./wave.ts";

export interface ScaleResult {
  readonly command: string;
  readonly takenAt: string;
  readonly machine: Machine;
  readonly waves: readonly Wave[];
  /** Waves that this machine has too little memory for, in words. */
  readonly leftOut: readonly string[];
  readonly latencyMs: number;
  readonly simulated: readonly Simulated[];
}

export interface Simulated {
  readonly tree: TreeId;
  readonly name: string;
  readonly cost: ReplicaCost;
  readonly fleets: readonly {
    readonly replicas: number;
    readonly gigabytesPerSecond: number;
    readonly ms: number;
  }[];
}
