/** Giving up rights for good. */
import type { Sandbox } from "../system.ts";
import { deno, type DenoApi } from "./deno.ts";

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

export function realSandbox(): Sandbox {
  return {
    narrow: async (roots) => {
      if (!deno) return "none";
      await narrowDeno(deno, roots);
      return "deno-permissions";
    },
  };
}
