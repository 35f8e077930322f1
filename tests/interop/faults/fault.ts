/** What a reproduction of a fault is. */
import type { Stage } from "./stage.ts";

export interface Finding {
  /** Of the peer: the fault was seen happening. Of ours: it was not, and what is right was. */
  readonly holds: boolean;
  /** What was measured: statuses, counts, seconds. */
  readonly facts: readonly string[];
}

/** One of the eleven things that b10-transfer gets wrong. */
export interface Fault {
  readonly number: number;
  readonly title: string;
  /** Makes it happen with b10-transfer. */
  readonly peer: (stage: Stage) => Promise<Finding>;
  /** Does the same thing with the binary. */
  readonly ours: (stage: Stage) => Promise<Finding>;
}
