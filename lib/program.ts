/** The program: what it goes on with inside the kernel's fence, or else what its command line says. */
import { isCarriedOperation, resumeOperation } from "./commands/load_save.ts";
import type { System } from "./system.ts";

/** @returns the exit status; it never throws. */
export async function runProgram(system: System): Promise<number> {
  const { carried } = system.sandbox;
  if (isCarriedOperation(carried)) return await resumeOperation(system, carried);
  // Loaded by who has words to understand: that takes some milliseconds.
  const { runCli } = await import("./cli.ts");
  return await runCli(system);
}
