/** What becomes of a process: most are left alone, some are killed, some sleep through what others wait for. */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { pause } from "./pause.ts";
import type { Seeded } from "./seeded.ts";
import { graceMs, leaseTimeoutMs } from "./settings.ts";

export type Operation = "load" | "save" | "prune" | "verify";

/** Any moment of its life; or, for a saver, while it packs, or between publishing a layer and naming it. */
type Moment =
  | { readonly kind: "any"; readonly share: number }
  | { readonly kind: "packing"; readonly delayMs: number }
  | { readonly kind: "published" };

export type Fate =
  | { readonly kind: "spared" }
  | { readonly kind: "killed"; readonly moment: Moment }
  | { readonly kind: "stopped"; readonly moment: Moment; readonly forMs: number };

/** Packing and committing a small tree takes about as long. */
const longestPackingMs = 120;

/** A part of the moments comes too late, so that the last steps have their share of them. */
const latestShare = 1.2;

/** Of those that are stopped. */
const pastGracePercent = 30;

/** @param killPercent as many are stopped. */
export function drawFate(random: Seeded, operation: Operation, killPercent: number): Fate {
  const drawn = random.fraction() * 100;
  const moment = drawMoment(random, operation);
  const briefMs = leaseTimeoutMs + random.between(500, 2_000);
  const longMs = graceMs + random.between(2_000, 15_000);
  const isLong = random.chance(pastGracePercent);
  if (drawn < killPercent) return { kind: "killed", moment };
  if (drawn < killPercent * 2) return { kind: "stopped", moment, forMs: isLong ? longMs : briefMs };
  return { kind: "spared" };
}

function drawMoment(random: Seeded, operation: Operation): Moment {
  const any: Moment = { kind: "any", share: random.between(0, latestShare) };
  if (operation !== "save") return any;
  const packing: Moment = { kind: "packing", delayMs: random.between(0, longestPackingMs) };
  // The moment at which a prune and a saver know least of each other.
  const published: Moment = { kind: "published" };
  return random.pick([any, packing, published, published]);
}

/** It sleeps for longer than a prune waits with what it marked. */
export function sleepsPastGrace(fate: Fate): boolean {
  return fate.kind === "stopped" && fate.forMs > graceMs;
}

export interface Life {
  readonly pid: number;
  /** What such a process takes. */
  readonly usualMs: number;
  /** Of its cache, in the store. */
  readonly cacheDir: string;
  readonly ended: AbortSignal;
}

/** Waits for that moment in the life of a process, or for the process's end. */
export async function awaitMoment(moment: Moment, { pid, usualMs, cacheDir, ended }: Life): Promise<void> {
  if (moment.kind === "any") return await pause(moment.share * usualMs, ended);
  while (!ended.aborted && !isPacking(pid, cacheDir)) await pause(5, ended);
  if (moment.kind === "packing") return await pause(moment.delayMs, ended);
  const before = layersIn(cacheDir);
  // From publishing a layer to naming it takes a few milliseconds.
  while (!ended.aborted && layersIn(cacheDir).isSubsetOf(before)) await pause(1, ended);
}

/** It holds the lease of those that pack this cache. */
function isPacking(pid: number, cacheDir: string): boolean {
  try {
    return fs.readFileSync(path.join(cacheDir, "lease.json"), "utf8").includes(`process ${pid} on `);
  } catch {
    // Nobody holds it.
    return false;
  }
}

function layersIn(cacheDir: string): Set<string> {
  const dir = path.join(cacheDir, "layers");
  return new Set(fs.existsSync(dir) ? fs.readdirSync(dir) : []);
}

/** @returns false where the process has ended already. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}
