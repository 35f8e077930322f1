/** Whether this pod restores what b10-transfer saved. Pure. */
import type { Config } from "../config.ts";
import type { Environment } from "../environment.ts";

/**
 * @returns why not, in words; undefined where it does. By itself ("auto") a CPU pod does not: the key of its archives
 * ignores the instruction set, so that they may hold machine code that this CPU cannot run.
 */
export function whyForeignIsOff({ foreign }: Config, { accelerator }: Environment): string | undefined {
  switch (foreign) {
    case "on":
      return undefined;
    case "off":
      return "B10_CACHE_FOREIGN is off";
    case "auto":
      return accelerator === "cpu"
        ? "b10-transfer's key of a CPU pod ignores the instruction set; B10_CACHE_FOREIGN=on restores them all the same"
        : undefined;
  }
  return foreign satisfies never;
}
