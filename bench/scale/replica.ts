/** What one replica costs that loads alone: this program, and b10-transfer where it can take part. */
import type { Contender, Places } from "../contenders/contender.ts";
import { ours } from "../contenders/program.ts";
import { remove, storedBytes } from "../places.ts";
import { race, runnerOf } from "../race.ts";
import { makeTrip } from "../share/round_trips.ts";
import { type TreeId, trees } from "../trees/trees.ts";
import type { ReplicaCost } from "./simulation.ts";

export interface Replica {
  readonly name: string;
  readonly cost: ReplicaCost;
}

/**
 * Makes the tree, and removes everything again. Of b10-transfer, which copies its whole archive from the share, neither
 * the operations on the share nor the waits for its lock are counted: both are to its advantage.
 */
export async function measureReplicas(
  id: TreeId,
  { places, contenders, watched }: {
    places: Places;
    contenders: readonly Contender[];
    watched: Contender;
  },
  { rounds }: { rounds: number },
): Promise<Replica[]> {
  const { share } = places;
  try {
    await trees[id].make(places.tree);
    await race(contenders.map((contender) => runnerOf(contender, "save")), {
      rounds: 1,
    });
    const loads = await race(
      contenders.map((contender) => runnerOf(contender, "load")),
      { rounds },
    );
    await makeTrip(watched, "save", { share, latencyMs: 0 });
    // The first load in an hour notes that the cache is used.
    await makeTrip(watched, "load", { share, latencyMs: 0 });
    const { calls } = await makeTrip(watched, "load", { share, latencyMs: 0 });
    const read = calls.reduce((sum, { bytes }) => sum + bytes, 0);
    return contenders.map(({ name, stored }) => {
      const ownMs = loads.find((load) => load.name === name)?.medianMs ?? NaN;
      const cost = name === ours
        ? { ownMs, roundTrips: calls.length, bytes: read }
        : { ownMs, roundTrips: 0, bytes: storedBytes(stored) };
      return { name, cost };
    });
  } finally {
    remove(
      places.tree,
      places.target,
      ...[...contenders, watched].map(({ stored }) => stored),
    );
  }
}
