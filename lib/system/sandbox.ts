/** Giving up rights for good. */
import type { Sandbox } from "../system.ts";
import type { Answer } from "./answers.ts";
import { deno, type DenoApi } from "./deno.ts";
import { type HandOver, handOver } from "./hand_over.ts";
import { restrictAndRestart } from "./landlock.ts";

/**
 * The order matters: a grant for each root first, then the revocation of "/", then a question that must be
 * answered with no. Revoking a child of a scoped grant would drop the parent, and with an unscoped grant
 * revoking a path does nothing at all, silently; hence the question.
 */
async function narrowDeno(deno: DenoApi, roots: readonly string[]): Promise<void> {
  for (const name of ["read", "write"] as const) {
    for (const path of roots) {
      const { state } = await deno.permissions.request({ name, path });
      if (state !== "granted") throw new Error(`Deno does not grant ${name} access to "${path}"`);
    }
    await deno.permissions.revoke({ name, path: "/" });
    const { state } = await deno.permissions.query({ name, path: "/" });
    if (state === "granted") {
      throw new Error(
        `Deno still grants ${name} access to "/" after it was revoked: start the program with --allow-${name}=/, ` +
          `not with an unscoped --allow-${name} or --allow-all`,
      );
    }
  }
  for (const name of ["run", "net", "ffi"] as const) await deno.permissions.revoke({ name });
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

export interface SandboxOptions {
  /** The words that start this program again as it was started. */
  readonly argv: readonly string[];
  /** What the process that became this one handed over, where there was one. */
  readonly inside: HandOver | undefined;
  /** What other programs have answered so far. */
  readonly answers: () => readonly Answer[];
}

export function realSandbox({ argv, inside, answers }: SandboxOptions): Sandbox {
  return {
    isInside: inside !== undefined,
    carried: inside?.carried,
    enter: (roots, made, carried) => {
      if (inside) return inside.made;
      restrictAndRestart({
        allowed: [
          ...roots.map((path) => ({ path, to: "all" as const })),
          ...made.map((path) => ({ path: parentOf(path), to: "remove" as const })),
        ],
        argv,
        variable: handOver({ roots, made, answers: answers(), carried }),
      });
      return made;
    },
    narrow: async (roots) => {
      if (deno) {
        await narrowDeno(deno, roots);
        return "deno-permissions";
      }
      if (!inside) return "none";
      const outside = roots.find((root) => !inside.roots.includes(root));
      if (outside === undefined) return "landlock";
      throw new Error(`the kernel's fence was put up without "${outside}"`);
    },
  };
}
