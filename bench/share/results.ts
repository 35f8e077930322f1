/** What a network file system costs this program, as it is written to results/share.json. */
import type { Operation } from "../contenders/contender.ts";
import type { Machine } from "../machine.ts";
import type { Counted } from "./count.ts";
import type { ShareCall } from "./watched_files.ts";

export interface ShareResult {
  readonly command: string;
  readonly takenAt: string;
  readonly machine: Machine;
  readonly rounds: number;
  readonly operations: readonly OperationOnShare[];
}

export interface OperationOnShare {
  readonly operation: Operation;
  readonly counted: readonly Counted[];
  /** In the order in which they ended. */
  readonly calls: readonly ShareCall[];
  readonly times: readonly {
    readonly latencyMs: number;
    readonly medianMs: number;
  }[];
  /** How many round trips are made one after the other, as the times tell it: the others are made at once with these. */
  readonly inARow: number;
}
