/** The clock of one pod, over the time of the disk that all of them share. */
import type { Clock } from "../../lib/system.ts";

/** More looks than any command takes: nobody lets time pass. */
const mostLooks = 10_000;

/** Sleepers wake at once, when as much time has passed for all. */
export class PodClock implements Clock {
  readonly #time: { nowMs: number };
  readonly #skewsMs: readonly number[];
  #looks = 0;
  #wallLooks = 0;

  /** @param skewsMs how far the wall clock is ahead of the share's at each look in turn, over and over. */
  constructor(time: { nowMs: number }, skewsMs: readonly number[]) {
    this.#time = time;
    this.#skewsMs = skewsMs;
  }

  nowMs(): number {
    const skewMs = this.#skewsMs[this.#wallLooks++ % this.#skewsMs.length] ?? 0;
    return this.#time.nowMs + skewMs;
  }

  monotonicMs(): number {
    if (++this.#looks > mostLooks) throw new Error("Cannot look at the clock again as nobody lets time pass");
    return this.#time.nowMs;
  }

  // deno-lint-ignore require-await -- what is thrown here rejects.
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#time.nowMs += ms;
  }

  /** A dead process's heart does not beat, and nobody waits for that of one at work. */
  every(): void {}
}
