/**
 * How old something must be before nobody alive can need it. All follow from how long an operation may take; pods with
 * longer deadlines than this one's are covered by the margins, or lose an upload and make it again. Pure.
 */
import type { Config } from "./config.ts";

/** A load ends at its deadline, and has 5 s to clean up; clocks of a file system may be coarse. */
const loadMarginS = 60;

/** A save likewise; and what a network file system tells of times may be a while old. */
const saveMarginS = 300;

/** Of a staging directory that no live load uses. */
export function deadStagingMs({ incompleteTimeoutS, loadTimeoutS }: Config): number {
  return Math.max(incompleteTimeoutS, loadTimeoutS + loadMarginS) * 1000;
}

/** Of an upload that no live save writes to. */
export function deadUploadMs({ incompleteTimeoutS, saveTimeoutS }: Config): number {
  return Math.max(incompleteTimeoutS, saveTimeoutS + saveMarginS) * 1000;
}

/** Of what no generation names: a save may be about to name it, and a load that began before may still read it. */
export function pruneGraceMs({ pruneGraceS, saveTimeoutS, loadTimeoutS }: Config): number {
  return Math.max(pruneGraceS, saveTimeoutS + loadTimeoutS) * 1000;
}
