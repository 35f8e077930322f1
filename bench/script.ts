/** What every benchmark does with its arguments and its failures. */
import process from "node:process";

export interface Script<T> {
  readonly usage: string;
  /** @returns undefined where help is asked for. @throws {Error} for wrong usage */
  readonly read: (argv: readonly string[]) => T | undefined;
  readonly act: (given: T) => Promise<void>;
}

/** Acts, or prints the usage; a failure is told in its own words, and the exit status is 1. */
export async function runScript<T>(
  { usage, read, act }: Script<T>,
): Promise<void> {
  try {
    const given = read(process.argv.slice(2));
    if (given === undefined) console.log(usage);
    else await act(given);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

/** The words that were typed, for whoever reads the results. */
export function commandLine(task: string): string {
  return [`deno task ${task}`, ...process.argv.slice(2)].join(" ");
}
