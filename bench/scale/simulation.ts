/**
 * Fleets larger than a machine can play, from what one replica was measured to cost. Pure.
 *
 * The model: all replicas start at once, each on a machine of its own, so each takes its own measured time, alone, with
 * the store in memory. To that comes every file-system operation on the share, one after the other, each as long as the
 * share's latency. The share's bandwidth is divided fairly, so all of them have read everything once the share has
 * sent all bytes to all of them; nothing is read while a replica computes. No caches between share and replicas, and no
 * limit to the operations that the share can serve.
 */

export interface ReplicaCost {
  /** Of the whole process, alone on this machine, with the store in memory. */
  readonly ownMs: number;
  /** File-system operations on the share, one after the other. */
  readonly roundTrips: number;
  /** Read from the share. */
  readonly bytes: number;
}

export interface Fleet {
  readonly replicas: number;
  readonly latencyMs: number;
  readonly bytesPerSecond: number;
}

/** Milliseconds from the start to the end of the load, the same for every replica. */
export function loadMs(
  { ownMs, roundTrips, bytes }: ReplicaCost,
  fleet: Fleet,
): number {
  const transferMs = fleet.replicas * bytes / fleet.bytesPerSecond * 1000;
  return ownMs + roundTrips * fleet.latencyMs + transferMs;
}
