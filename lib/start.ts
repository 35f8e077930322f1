/**
 * From the start of a server to the end of the watch: ready, then quiet; then what the cache has done for it is told by
 * the files, what is new is saved, and for a while what later requests compile.
 */
import { type Config, whyNothingIsSaved } from "./config.ts";
import { CacheError, messageOf } from "./errors.ts";
import { type Proof, proofText, prove } from "./proof.ts";
import { waitUntilQuiet } from "./quiet.ts";
import type { CacheRoot } from "./roots.ts";
import { waitUntilReady } from "./server.ts";
import { isUnchanged, type Snapshot, takeSnapshot } from "./snapshot.ts";
import type { System } from "./system.ts";

/** What the save of a start is told. */
export interface SaveAbout {
  /** Of a start without a cache: seconds until it was ready. */
  readonly coldStartS?: number;
  /** The content ID of a suspect, without which this pod got ready. */
  readonly replacedSuspect?: string;
}

/** The caches when the server was started. */
export interface Baseline {
  readonly roots: readonly CacheRoot[];
  readonly snapshot: Snapshot;
}

export interface Start {
  readonly system: System;
  readonly config: Config;
  /** The address that is asked whether the server is ready. */
  readonly url: string;
  /** When it was started, by the monotonic clock, in ms. */
  readonly startedMs: number;
  /** undefined where this pod's caches cannot be looked at: then nothing is proved, and no quiet waited for. */
  readonly baseline: Baseline | undefined;
  /** The load restored something, or found everything in place. */
  readonly isRestored: boolean;
  /** Of the cache that was loaded. */
  readonly coldStartS: number | undefined;
  /** The load passed over this suspect. */
  readonly suspect: string | undefined;
  /** How long what later requests compile is looked for. */
  readonly watchS: number;
  /** Once aborted nothing more is done. */
  readonly signal: AbortSignal;
  /** Saves what is new. It never throws. */
  readonly save: (about: SaveAbout) => Promise<void>;
  readonly onReady: (readyS: number) => Promise<void>;
  readonly onProof: (proof: Proof, text: string) => Promise<void>;
  readonly notice: (text: string) => void;
}

/**
 * @returns false where the server was not ready in time: then nothing is saved.
 * @throws the signal's reason.
 */
export async function accompany(start: Start): Promise<boolean> {
  const { system, config, signal } = start;
  const isReady = await waitUntilReady(system, {
    url: start.url,
    timeoutMs: config.serverTimeoutS * 1000,
    intervalMs: config.serverIntervalS * 1000,
    signal,
  });
  if (!isReady) return false;
  const readyS = (system.clock.monotonicMs() - start.startedMs) / 1000;
  await start.onReady(readyS);
  const settled = await quiet(start);
  const proof = settled && await tellProof(start, { after: settled, readyS });
  if (whyNothingIsSaved(config) !== undefined) return true;
  signal.throwIfAborted();
  await start.save({
    ...(!start.isRestored && proof?.verdict === "COLD" ? { coldStartS: readyS } : {}),
    ...(start.suspect === undefined ? {} : { replacedSuspect: start.suspect }),
  });
  if (settled) await watch(start, settled);
  return true;
}

/** @returns what lies in the caches once they are quiet; undefined where they cannot be looked at. */
async function quiet({ system, config, baseline, signal, notice }: Start): Promise<Snapshot | undefined> {
  if (!baseline) return undefined;
  try {
    return await waitUntilQuiet(system, baseline.roots, {
      quietMs: config.quietS * 1000,
      timeoutMs: config.quietTimeoutS * 1000,
      signal,
    });
  } catch (error) {
    if (!(error instanceof CacheError) || signal.aborted) throw error;
    notice(`whether the caches are quiet cannot be told: ${messageOf(error)}`);
    return undefined;
  }
}

async function tellProof(
  { baseline, isRestored, coldStartS, onProof }: Start,
  { after, readyS }: { after: Snapshot; readyS: number },
): Promise<Proof | undefined> {
  if (!baseline) return undefined;
  const proof = prove({ isRestored, before: baseline.snapshot, after });
  await onProof(proof, proofText(proof, { readyS, coldStartS }));
  return proof;
}

/** Saves again each time that the caches have changed and gone quiet, until the watch is over. */
async function watch(start: Start, saved: Snapshot): Promise<void> {
  const { system, config, baseline, signal } = start;
  if (!baseline) return;
  const untilMs = system.clock.monotonicMs() + start.watchS * 1000;
  for (let known = saved;;) {
    const leftMs = untilMs - system.clock.monotonicMs();
    if (leftMs <= 0) return;
    await system.clock.sleep(Math.min(config.watchIntervalS * 1000, leftMs), signal);
    const now = await lookAgain(start, baseline);
    if (!now) return;
    if (isUnchanged(known, now)) continue;
    known = await quiet(start) ?? now;
    signal.throwIfAborted();
    await start.save({});
  }
}

/** @returns undefined where the caches cannot be looked at any more: what was saved is saved. */
async function lookAgain({ system, notice }: Start, { roots }: Baseline): Promise<Snapshot | undefined> {
  try {
    return await takeSnapshot(system.fs, roots);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    notice(`what later requests compile is not saved: ${messageOf(error)}`);
    return undefined;
  }
}
