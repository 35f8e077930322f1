/** What takes part in a comparison: each does the same work as one whole process. */
import type { Finished } from "../../scripts/process.ts";
import type { Command } from "../processes/command.ts";

export const operations = ["load", "save"] as const;

export type Operation = typeof operations[number];

export interface Contender {
  readonly name: string;
  /** Where it stores what it saves: a file or a directory, made by a save. */
  readonly stored: string;
  /** It looks at what the store has before it packs. */
  readonly savesChangesAlone: boolean;
  /** Not measured: `save` begins without what it stored, `load` with it and an empty target. */
  prepare(operation: Operation): void | Promise<void>;
  /** The whole process that is measured. `tree` is saved, where it is not the one of the places. */
  command(operation: Operation, options?: { tree: string }): Command;
  /** @throws {Error} where the process did not do its work, though it ended with exit status 0 */
  check?(finished: Finished, expected: "SUCCESS" | "SKIPPED"): void;
}

/** The directories of one comparison. All lie on one file system. */
export interface Places {
  readonly base: string;
  /** What is saved, and what every load must equal. */
  readonly tree: string;
  /** Where every load goes. */
  readonly target: string;
  /** What all replicas share: every contender stores below it. */
  readonly share: string;
}
