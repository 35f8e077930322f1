/** Round trips of one load and one save, and their times by the latency of the share. */
import type { Operation, Places } from "../contenders/contender.ts";
import { median } from "../race.ts";
import { unpackFixture } from "../../tests/fixture.ts";
import { countCalls } from "./count.ts";
import type { OperationOnShare } from "./results.ts";
import { makeTrip, type Trip } from "./round_trips.ts";
import { watchedProgram } from "./watched_contender.ts";

export const latenciesMs = [0, 1, 5, 20] as const;

/** On the real cache. Compiles the watched program first. */
export async function measureShare(
  places: Places,
  { rounds }: { rounds: number },
): Promise<OperationOnShare[]> {
  const contender = await watchedProgram(places);
  await unpackFixture(places.tree);
  const measure = async (operation: Operation): Promise<OperationOnShare> => {
    const trip = (latencyMs: number): Promise<Trip> =>
      makeTrip(contender, operation, { share: places.share, latencyMs });
    // As in a running fleet: the first use of a cache in an hour notes that it was used.
    const { calls } = (await trip(0), await trip(0));
    const times = [];
    for (const latencyMs of latenciesMs) {
      const runsMs = [];
      for (let round = 0; round < rounds; round++) {
        runsMs.push((await trip(latencyMs)).elapsedMs);
      }
      times.push({ latencyMs, medianMs: median(runsMs) });
    }
    return {
      operation,
      counted: countCalls(calls),
      calls,
      times,
      inARow: slope(times),
    };
  };
  return [await measure("save"), await measure("load")];
}

/** Milliseconds more for each millisecond of latency, from the smallest latency to the largest. */
function slope(times: OperationOnShare["times"]): number {
  const [first, last] = [times[0], times.at(-1)];
  if (!first || !last) return NaN;
  return (last.medianMs - first.medianMs) / (last.latencyMs - first.latencyMs);
}
