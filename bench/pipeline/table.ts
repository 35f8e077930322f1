/** What a table of this benchmark is: variants of one choice, measured on some of the trees. */
import type { Places } from "../contenders/contender.ts";
import type { TreeId } from "../trees/trees.ts";
import type { Row } from "./rounds.ts";
import type { StoredLayer } from "./stored_layer.ts";

export interface Table {
  readonly title: string;
  readonly trees: readonly TreeId[];
  /** Of the columns that tell the variants apart. */
  readonly labels: readonly string[];
  /** @throws {Error} where a variant does not do its work */
  measure(subject: Subject, options: { rounds: number }): Promise<Row[]>;
}

/** A tree in memory, and the layer that it becomes. */
export interface Subject {
  readonly places: Places;
  readonly stored: StoredLayer;
}
