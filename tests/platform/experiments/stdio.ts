/** Standard output and the environment. */
import type { System } from "../../../lib/system.ts";

export const muchBytes = 1_000_000;

/** Prints a line of `muchBytes`; the result's own line comes after it. */
export function writeMuch({ stdio }: System) {
  stdio.stdout(`${"x".repeat(muchBytes - 1)}\n`);
  return Promise.resolve("written");
}

/** Whether this process has the variable that `argument` names, and whether a preloaded module has run. */
export function environment({ env }: System, _dir: string, argument: string) {
  return Promise.resolve({ value: env[argument], preloaded: Object.hasOwn(globalThis, "b10Preloaded") });
}
