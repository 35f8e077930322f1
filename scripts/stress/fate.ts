/** What becomes of a process: most are left alone, some are killed, some sleep through what others wait for. */
import * as fs from "node:fs";
import process from "node:process";
import { pause } from "./pause.ts";
import type { Seeded } from "./seeded.ts";
import { graceMs, leaseTimeoutMs } from "./settings.ts";

export type Operation = "load" | "save" | "prune" | "verify";

/** Any moment of its life; or, for a saver, while it holds the lease of those that pack. */
type Moment = { readonly kind: "any"; readonly share: number } | {
  readonly kind: "packing";
  readonly delayMs: number;
};

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

/** @param killPercent half as many are stopped. */
export function drawFate(random: Seeded, operation: Operation, killPercent: number): Fate {
  const drawn = random.fraction() * 100;
  const moment: Moment = operation === "save" && random.chance(70)
    ? { kind: "packing", delayMs: random.between(0, longestPackingMs) }
    : { kind: "any", share: random.between(0, latestShare) };
  const briefMs = leaseTimeoutMs + random.between(500, 2_000);
  const longMs = graceMs + random.between(2_000, 15_000);
  const isLong = random.chance(pastGracePercent);
  if (drawn < killPercent) return { kind: "killed", moment };
  if (drawn < killPercent * 1.5) return { kind: "stopped", moment, forMs: isLong ? longMs : briefMs };
  return { kind: "spared" };
}

/** It sleeps for longer than a prune waits with what it marked. */
export function sleepsPastGrace(fate: Fate): boolean {
  return fate.kind === "stopped" && fate.forMs > graceMs;
}

/** Waits for that moment in the life of a process, or for the process's end. */
export async function awaitMoment(
  moment: Moment,
  { pid, usualMs, leaseFile, ended }: {
    pid: number;
    usualMs: number;
    leaseFile: string;
    ended: AbortSignal;
  },
): Promise<void> {
  if (moment.kind === "any") return await pause(moment.share * usualMs, ended);
  while (!ended.aborted && !isHeldBy(pid, leaseFile)) await pause(5, ended);
  await pause(moment.delayMs, ended);
}

function isHeldBy(pid: number, leaseFile: string): boolean {
  try {
    return fs.readFileSync(leaseFile, "utf8").includes(`process ${pid} on `);
  } catch {
    // Nobody holds it.
    return false;
  }
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
