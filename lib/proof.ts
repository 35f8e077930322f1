/**
 * Did the cache help? Told by the files that a start has made: what a server compiles it writes into its caches, and
 * what it takes from them it leaves as it is. No log is read. Pure.
 */
import { changedSince, type Snapshot } from "./snapshot.ts";
import { countOf, formatBytes, formatDuration } from "./text.ts";

/**
 * - HIT: restored, and nothing was compiled anew.
 * - PARTIAL: restored, and some was.
 * - INERT: restored, and about all of it was compiled again: see `explain`.
 * - COLD: there was nothing to restore.
 */
export type Verdict = "HIT" | "PARTIAL" | "INERT" | "COLD";

export interface Proof {
  readonly verdict: Verdict;
  /** Compiled files that were there when the server started, and their bytes. */
  readonly restoredFiles: number;
  readonly restoredBytes: number;
  /** Compiled files that the start has made or rewritten. */
  readonly newFiles: number;
  readonly newBytes: number;
}

/** What a server writes at each start whether it compiles or not: notes about a compilation, and no part of it. */
const notCompiled = [
  /(^|\/)cache_key_factors\.json$/, // vLLM: what went into its key
  /(^|\/)computation_graph\.py$/, // vLLM: for debugging
  /(^|\/)modelinfos\/[^/]*\.json$/, // vLLM: what a model's class can do
];

/**
 * A start that made at least this many of the files that were restored has used next to nothing of them. By their
 * number, not their bytes: vLLM 0.32 on the CPU rewrites its model, half of all bytes, and takes every kernel as it is.
 */
const inertShare = 0.5;

/**
 * @param isRestored the load restored something, or found everything in place.
 * @param before when the server was started.
 * @param after when it was ready, and its caches had gone quiet.
 */
export function prove({ isRestored, before, after }: {
  isRestored: boolean;
  before: Snapshot;
  after: Snapshot;
}): Proof {
  const restored = [...before].filter(([path]) => isCompiled(path)).map(([, { size }]) => ({ size }));
  const made = changedSince(before, after).filter(({ path }) => isCompiled(path));
  const [restoredBytes, newBytes] = [bytesOf(restored), bytesOf(made)];
  return {
    verdict: verdictOf({ isRestored, restoredFiles: restored.length, newFiles: made.length }),
    restoredFiles: restored.length,
    restoredBytes,
    newFiles: made.length,
    newBytes,
  };
}

function verdictOf({ isRestored, restoredFiles, newFiles }: {
  isRestored: boolean;
  restoredFiles: number;
  newFiles: number;
}): Verdict {
  if (!isRestored) return "COLD";
  if (newFiles === 0) return "HIT";
  return newFiles >= inertShare * restoredFiles ? "INERT" : "PARTIAL";
}

function isCompiled(path: string): boolean {
  return !notCompiled.some((pattern) => pattern.test(path));
}

function bytesOf(files: readonly { readonly size: number }[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

export interface Times {
  /** From the start of the server until it was ready, in seconds. */
  readonly readyS: number;
  /** The same of the start that the cache was first saved from, where known. */
  readonly coldStartS: number | undefined;
}

/** "cache HIT: ready after 29.10 s, 26.20 s sooner than the cold start's 55.30 s; nothing was compiled anew" */
export function proofText(proof: Proof, { readyS, coldStartS }: Times): string {
  return `cache ${proof.verdict}: ready after ${seconds(readyS)}${gainText(readyS, coldStartS)}; ${
    newText(proof)
  }`;
}

function gainText(readyS: number, coldStartS: number | undefined): string {
  if (coldStartS === undefined) return "";
  const gained = coldStartS - readyS;
  return `, ${seconds(Math.abs(gained))} ${gained < 0 ? "later" : "sooner"} than the cold start's ${
    seconds(coldStartS)
  }`;
}

function newText({ verdict, newFiles, newBytes, restoredBytes }: Proof): string {
  if (newFiles === 0) return "nothing was compiled anew";
  const made = `${countOf(newFiles, "file")}, ${formatBytes(newBytes)}`;
  switch (verdict) {
    case "COLD":
      return `${made} were compiled`;
    case "INERT":
      return `${made} were compiled although ${formatBytes(restoredBytes)} had been restored: see explain`;
    case "HIT":
    case "PARTIAL":
      return `${made} were compiled anew`;
  }
  return verdict satisfies never;
}

function seconds(count: number): string {
  return formatDuration(count * 1000);
}
