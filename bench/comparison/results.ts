/** What the comparison finds out, as it is written to results/comparison.json. */
import type { LeftOut } from "../contenders/choose.ts";
import type { Operation } from "../contenders/contender.ts";
import type { Machine } from "../machine.ts";
import type { Measured } from "../race.ts";
import type { Counted } from "../share/count.ts";
import type { TreeId } from "../trees/trees.ts";

export interface Comparison {
  readonly command: string;
  readonly takenAt: string;
  readonly machine: Machine;
  readonly rounds: number;
  readonly leftOut: readonly LeftOut[];
  readonly trees: readonly TreeResult[];
  /** Where tree a was measured. */
  readonly loadersAtOnce?: LoadersAtOnce;
}

export interface TreeResult {
  readonly id: TreeId;
  readonly title: string;
  readonly files: number;
  readonly bytes: number;
  readonly saves: readonly Measured[];
  readonly loads: readonly Measured[];
  readonly stored: readonly Stored[];
  readonly costs: readonly Costs[];
  /** Saves of what the store has already, but for the files that were changed and added. */
  readonly again: readonly SaveAgain[];
  /** Operations of the file system on the share: of a first save, and of a load of what was used within this hour. */
  readonly onShare: readonly OnShare[];
  /** From the start of a load to the first file or directory that it opens on the share. */
  readonly firstOpenMs: number;
}

export interface OnShare {
  readonly operation: Operation;
  readonly counted: readonly Counted[];
}

export interface Stored {
  readonly name: string;
  readonly bytes: number;
}

/** Of one whole process, in one run of each operation. */
export interface Costs {
  readonly name: string;
  readonly load: Cost;
  readonly save: Cost;
}

export interface Cost {
  readonly cpuMs: number;
  readonly maxRssBytes: number;
}

export interface SaveAgain extends Measured {
  readonly case: AgainCase;
  /** How many of the files were changed or added. */
  readonly changed: number;
}

/** The tree as the pod saved it; as a pod loaded it; and with 1 % of its files changed or added since it was loaded. */
export const againCases = [
  "unchanged, saved here",
  "unchanged, loaded here",
  "1 % changed",
] as const;

export type AgainCase = typeof againCases[number];

export interface LoadersAtOnce {
  readonly loaders: number;
  /** From the first start to the last end. */
  readonly wallMs: number;
  /** Of one loader that is alone. */
  readonly oneCpuMs: number;
  readonly cores: number;
}
