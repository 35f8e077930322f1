/**
 * Leases among savers: advice, on which no data depends. A holder's life is judged by the content of its lease alone:
 * an observer that has seen it unchanged for as long as a holder may be silent, by its own monotonic clock, takes the
 * holder for dead. No two machines' clocks are ever compared.
 */
import type { HeldLease, LeasePlace, Store } from "./store.ts";
import type { Clock, System } from "./system.ts";

/** A holder changes its lease this many times within the time after which it is taken for dead. */
const beatsPerTimeout = 4;

/** Pods may have different timeouts: whoever is patient still beats often enough for one that is not. */
const longestBeatMs = 2_000;

/** A place that was taken is asked for again after this long, and later and later up to the longest. */
const shortestWaitMs = 100;
const longestWaitMs = 1_000;

/** Tells from a lease's content whether its holder is alive. */
export class LeaseObserver {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #seen = new Map<string, { content: string; sinceMs: number }>();

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** @returns whether the content of this lease has not changed for longer than a holder may be silent. */
  looksDead(place: string, content: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const seen = this.#seen.get(place);
    if (seen?.content !== content) {
      this.#seen.set(place, { content, sinceMs: nowMs });
      return false;
    }
    return nowMs - seen.sinceMs > this.#timeoutMs;
  }
}

export interface Wanted {
  /** Any of these will do. */
  readonly places: readonly LeasePlace[];
  /** Who asks, in a line, for people. */
  readonly holder: string;
  /** A holder that is silent for longer is taken for dead. */
  readonly timeoutMs: number;
}

/** Asks for a lease again and again, and remembers what it saw of the holders in between. */
export class LeaseSeeker {
  readonly #world: Pick<System, "clock" | "random">;
  readonly #store: Store;
  readonly #wanted: Wanted;
  readonly #observer: LeaseObserver;
  #waitMs = shortestWaitMs;

  constructor(world: Pick<System, "clock" | "random">, store: Store, wanted: Wanted) {
    this.#world = world;
    this.#store = store;
    this.#wanted = wanted;
    this.#observer = new LeaseObserver(world.clock, wanted.timeoutMs);
  }

  /** @returns undefined where every place is held by somebody who may be alive. */
  async tryOnce(): Promise<Lease | undefined> {
    for (const place of this.#inRandomOrder()) {
      const held = await this.#take(place);
      if (held) {
        const beatMs = Math.min(this.#wanted.timeoutMs / beatsPerTimeout, longestBeatMs);
        return new Lease(this.#world.clock, held, beatMs);
      }
    }
    return undefined;
  }

  /** Sleeps until it is worth asking again: longer each time, and never in step with others. */
  async pause(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#world;
    await clock.sleep(this.#waitMs * (0.5 + random.fraction()), signal);
    this.#waitMs = Math.min(this.#waitMs * 1.5, longestWaitMs);
  }

  async #take(place: LeasePlace): Promise<HeldLease | undefined> {
    const { leases } = this.#store;
    const content = await leases.look(place);
    if (content !== undefined) {
      if (!this.#observer.looksDead(JSON.stringify(place), content)) return undefined;
      await leases.free(place, content);
    }
    return await leases.take(place, this.#wanted.holder);
  }

  /** Savers that start together would otherwise all try the same place. */
  #inRandomOrder(): LeasePlace[] {
    const { random } = this.#world;
    return this.#wanted.places.map((place) => ({ place, order: random.fraction() }))
      .sort((a, b) => a.order - b.order).map(({ place }) => place);
  }
}

/** A lease that is held, and changed regularly so that others see its holder alive. */
export class Lease implements AsyncDisposable {
  readonly #held: HeldLease;
  readonly #ended = new AbortController();
  #beating: Promise<void> | undefined;

  constructor(clock: Clock, held: HeldLease, beatMs: number) {
    this.#held = held;
    clock.every(beatMs, () => this.#beat(), this.#ended.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#beating;
    await this.#held[Symbol.asyncDispose]();
  }

  /** On a slow share the next beat waits for the one before. */
  #beat(): void {
    this.#beating ??= this.#held.beat().finally(() => this.#beating = undefined);
  }
}
