/** Whole processes, timed in turn. */
import type { Contender, Operation } from "./contenders/contender.ts";
import { runCommand } from "./processes/command.ts";

export interface Measured {
  readonly name: string;
  readonly runsMs: readonly number[];
  readonly medianMs: number;
}

/** One thing to time. */
export interface Runner {
  readonly name: string;
  /** @returns the time of the whole process in ms. @throws {Error} where it did not do its work */
  run(): Promise<number>;
}

/** Takes turns, so that a slow moment of the machine hits all alike; the first round warms up and is not counted. */
export async function race(
  runners: readonly Runner[],
  { rounds }: { rounds: number },
): Promise<Measured[]> {
  const times = new Map<string, number[]>(
    runners.map(({ name }) => [name, []]),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const { name, run } of runners) {
      const elapsedMs = await run();
      if (round > 0) times.get(name)?.push(elapsedMs);
    }
  }
  return [...times].map(([name, runsMs]) => measured(name, runsMs));
}

export function measured(name: string, runsMs: readonly number[]): Measured {
  return { name, runsMs, medianMs: median(runsMs) };
}

/** What a contender does, from its own beginning each time. */
export function runnerOf(contender: Contender, operation: Operation): Runner {
  return {
    name: contender.name,
    run: async () => {
      await contender.prepare(operation);
      const finished = await runCommand(contender.command(operation));
      contender.check?.(finished, "SUCCESS");
      return finished.elapsedMs;
    },
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
