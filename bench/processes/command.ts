/** A whole process as data, so that the same one can be timed, weighed and watched. */
import { capture, type Finished } from "../../scripts/process.ts";

export interface Command {
  readonly argv: readonly string[];
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
}

export const commandTimeoutMs = 300 * 1000;

/** @throws {Error} where it fails or takes longer than five minutes */
export async function runCommand({ argv, env }: Command): Promise<Finished> {
  const finished = await capture(argv, { env, timeoutMs: commandTimeoutMs });
  if (finished.code === 0) return finished;
  const why = finished.timedOut ? "it took too long" : `its exit status is ${finished.code}`;
  throw new Error(
    `"${argv.join(" ")}" failed as ${why}: ${finished.stdout}${finished.stderr}`,
  );
}
