/** What takes part in a comparison: each does the same work as one whole process. */

export interface Contender {
  readonly name: string;
  /** Not measured: puts things back to where `run` starts. */
  prepare(): void;
  /** @returns the time of the whole process in ms. @throws where it did not do its work */
  run(): Promise<number>;
}

export interface Measured {
  readonly name: string;
  readonly runsMs: readonly number[];
  readonly medianMs: number;
}

/** Takes turns, so that a slow moment of the machine hits all alike; the first round warms up and is not counted. */
export async function race(
  contenders: readonly Contender[],
  options: { rounds: number },
): Promise<Measured[]> {
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= options.rounds; round++) {
    for (const contender of contenders) {
      contender.prepare();
      const elapsedMs = await contender.run();
      if (round > 0) times.get(contender.name)?.push(elapsedMs);
    }
  }
  return [...times].map(([name, runsMs]) => ({ name, runsMs, medianMs: median(runsMs) }));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
