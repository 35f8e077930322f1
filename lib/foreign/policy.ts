/** Whether this pod restores what b10-transfer saved. Pure. */
import type { Config } from "../config.ts";
import type { Environment } from "../environment.ts";

/** Why none of them counts where signatures are demanded. */
export const unsignedArchives =
  "b10-transfer's archives have no signature, and B10_CACHE_TRUSTED_KEYS_FILE demands one";

/**
 * @returns why not, in words; undefined where it does. By itself ("auto") a CPU pod does not: the key of its archives
 * ignores the instruction set, so that they may hold machine code that this CPU cannot run.
 */
export function whyForeignIsOff(
  { foreign, trustedKeysFile }: Config,
  { accelerator }: Environment,
): string | undefined {
  if (foreign !== "off" && trustedKeysFile !== null) return unsignedArchives;
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
