/** The fence around this process: where the kernel or the runtime can put one up, and what is different inside. */
import { CacheError } from "./errors.ts";
import type { Fence, System } from "./system.ts";

/**
 * Where the kernel can confine this process, the program starts anew inside, and this never returns; see `Sandbox.enter`.
 * @param carried plain JSON that the process inside finds as `Sandbox.carried`.
 * @returns `made`, in the process that goes on.
 * @throws {CacheError} `confinement`
 */
export function enterFence(
  system: System,
  dirs: readonly string[],
  { made = [], carried }: { made?: readonly string[]; carried?: unknown } = {},
): readonly string[] {
  try {
    return system.sandbox.enter(dirs, made, carried);
  } catch (cause) {
    throw notConfined(dirs, cause);
  }
}

/**
 * From here on the process reaches these directories alone. Real paths: a prefix that is itself a symlink would
 * otherwise be refused by the runtime.
 * @throws {CacheError} `confinement` where the runtime has a fence and it cannot be put up.
 */
export async function putUpFence(system: System, dirs: readonly string[]): Promise<Fence> {
  enterFence(system, dirs);
  try {
    return await system.sandbox.narrow(dirs);
  } catch (cause) {
    throw notConfined(dirs, cause);
  }
}

function notConfined(dirs: readonly string[], cause: unknown): CacheError {
  return new CacheError(
    "confinement",
    `Cannot confine the program to ${dirs.join(", ")}: ${
      cause instanceof Error ? cause.message : String(cause)
    }`,
    { cause },
  );
}

/** Inside the kernel's fence the process that was outside has said them. */
export function unsaid(system: System, notices: readonly string[]): readonly string[] {
  return system.sandbox.isInside ? [] : notices;
}
