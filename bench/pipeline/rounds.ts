/** Variants measured in turn, and the medians of what they cost. */
import { median } from "../race.ts";

export const figureNames = [
  "storedBytes",
  "wallMs",
  "cpuMs",
  "maxRssBytes",
] as const;

/** What was measured of one run; not every variant tells all. */
export type Figures = Readonly<
  Partial<Record<typeof figureNames[number], number>>
>;

export interface Variant {
  /** What tells it apart, one for each label of its table. */
  readonly labels: readonly string[];
  /** @throws {Error} where it does not do its work */
  run(): Figures | Promise<Figures>;
}

export interface Row {
  readonly labels: readonly string[];
  readonly median: Figures;
  /** Each round's. */
  readonly rounds: readonly Figures[];
}

/** Takes turns, so that a slow moment of the machine hits all alike; the first round warms up and is not counted. */
export async function measureInTurn(
  variants: readonly Variant[],
  { rounds }: { rounds: number },
): Promise<Row[]> {
  const measured = variants.map(({ labels, run }) => ({
    labels,
    run,
    rounds: [] as Figures[],
  }));
  for (let round = 0; round <= rounds; round++) {
    for (const variant of measured) {
      const figures = await variant.run();
      if (round > 0) variant.rounds.push(figures);
    }
  }
  return measured.map(({ labels, rounds }) => ({
    labels,
    median: medianOf(rounds),
    rounds,
  }));
}

/** What is the same each time: one run of each is enough. */
export async function measureOnce(
  variants: readonly Variant[],
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { labels, run } of variants) {
    const figures = await run();
    rows.push({ labels, median: figures, rounds: [figures] });
  }
  return rows;
}

function medianOf(rounds: readonly Figures[]): Figures {
  const told = figureNames.filter((name) => rounds.every((figures) => figures[name] !== undefined));
  return Object.fromEntries(
    told.map((
      name,
    ) => [name, median(rounds.map((figures) => figures[name] ?? NaN))]),
  );
}
