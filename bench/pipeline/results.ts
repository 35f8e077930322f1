/** What the choices of the pipeline cost, as it is written to results/pipeline.json. */
import type { Machine } from "../machine.ts";
import type { TreeId } from "../trees/trees.ts";
import type { Row } from "./rounds.ts";
import type { TableId } from "./tables.ts";

export interface PipelineResult {
  readonly command: string;
  readonly takenAt: string;
  readonly machine: Machine;
  readonly measured: readonly MeasuredTable[];
  /** Trees that this machine has too little memory for, in words. */
  readonly leftOut: readonly string[];
}

export interface MeasuredTable {
  readonly table: TableId;
  readonly tree: TreeId;
  readonly rows: readonly Row[];
}
