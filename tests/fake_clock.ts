/** Time that passes only when the test says so. */
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../lib/system.ts";

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

/**
 * A clock that the test drives: `advance()` lets time pass, `run()` as much of it as some work needs.
 *
 *     const clock = new FakeClock();
 *     const ready = waitUntilReady({ clock, http }, wait);
 *     assert.equal(await clock.run(ready), false);
 *     assert.equal(clock.monotonicMs(), 30_000);
 */
export class FakeClock implements Clock {
  #elapsedMs = 0;
  #wallMs: number;
  readonly #sleepers = new Set<Sleeper>();
  /** What goes on beside the work: it is no reason to let time pass. */
  readonly #ticking = new Set<Sleeper>();

  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** How many sleeps have neither ended nor been aborted. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const wake = () => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      const sleeper: Sleeper = { dueMs: this.#elapsedMs + Math.max(0, ms), wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** `act` is due every `ms` that the test lets pass. */
  every(ms: number, act: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const sleeper: Sleeper = {
      dueMs: this.#elapsedMs + ms,
      wake: () => {
        this.#ticking.delete(sleeper);
        act();
        this.every(ms, act, signal);
      },
    };
    this.#ticking.add(sleeper);
    signal.addEventListener("abort", () => this.#ticking.delete(sleeper), { once: true });
  }

  /** Sets the wall clock, as an administrator or NTP would: durations do not notice. */
  setWallClock(ms: number): void {
    this.#wallMs = ms;
  }

  /** Lets `ms` pass, waking each sleeper at its own time and letting it go on before time does. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await letOthersRun();
    for (let next = this.#nextOf([...this.#sleepers, ...this.#ticking]); next && next.dueMs <= untilMs;) {
      this.#moveTo(next.dueMs);
      next.wake();
      await letOthersRun();
      next = this.#nextOf([...this.#sleepers, ...this.#ticking]);
    }
    this.#moveTo(untilMs);
  }

  /**
   * Lets pass as much time as `work` needs.
   * @throws an Error where it waits for something other than this clock.
   */
  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const watch = () => {
      settled = true;
    };
    work.then(watch, watch);
    await letOthersRun();
    while (!settled) {
      const next = this.#nextOf([...this.#sleepers]);
      if (!next) throw new Error("Cannot run the work to its end as it waits for something else than time");
      await this.advance(next.dueMs - this.#elapsedMs);
    }
    return await work;
  }

  #nextOf(sleepers: readonly Sleeper[]): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of sleepers) if (!first || sleeper.dueMs < first.dueMs) first = sleeper;
    return first;
  }

  #moveTo(elapsedMs: number): void {
    this.#wallMs += elapsedMs - this.#elapsedMs;
    this.#elapsedMs = elapsedMs;
  }
}

/** Every promise that can go on without time or the outside has done so afterwards. */
async function letOthersRun(): Promise<void> {
  await setImmediate();
}
