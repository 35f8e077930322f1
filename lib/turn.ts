/**
 * A saver's turn. One saver packs a key at a time, so that replicas with the same files do not all compress them; and
 * so many save at once in the whole store. Waiting is bounded, and says what it waits for.
 */
import { CacheError } from "./errors.ts";
import { LeaseSeeker } from "./lock.ts";
import type { Operation } from "./operation.ts";
import type { LeasePlace, Store } from "./store.ts";
import { countOf } from "./text.ts";

export class Turn implements AsyncDisposable {
  readonly #operation: Operation;
  readonly #store: Store;
  readonly #leases = new AsyncDisposableStack();
  #packer: { readonly seeker: LeaseSeeker; readonly untilMs: number } | undefined;
  #isPacker = false;
  #isTaken = false;

  constructor(operation: Operation, store: Store) {
    this.#operation = operation;
    this.#store = store;
  }

  /** Frees what it holds. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leases.disposeAsync();
  }

  /** Nobody else packs this key, as far as leases can tell. */
  get isPacker(): boolean {
    return this.#isPacker;
  }

  /**
   * Waits a moment at most for the packer's lease, and until the deadline for a place among those that save.
   * @returns whether the turn was this saver's already. Otherwise time has passed, and the store is to be looked at
   * anew: what is to be saved may be there by now.
   * @throws {CacheError} `contended` where no place became free.
   */
  async take(deadlineMs: number): Promise<boolean> {
    if (this.#isTaken) return true;
    if (await this.#isStillPackedByOther(deadlineMs)) return false;
    await this.#takePlace(deadlineMs);
    this.#isTaken = true;
    return false;
  }

  /** After half of a save's time it goes on without the lease: that is advice, and no more. */
  async #isStillPackedByOther(deadlineMs: number): Promise<boolean> {
    // Taken before a place could not be asked for, as the share failed.
    if (this.#isPacker) return false;
    const { system, key, signal, inform } = this.#operation;
    const nowMs = system.clock.monotonicMs();
    const isFirst = this.#packer === undefined;
    this.#packer ??= {
      seeker: this.#seek([{ kind: "pack", key }]),
      untilMs: nowMs + (deadlineMs - nowMs) / 2,
    };
    const { seeker, untilMs } = this.#packer;
    const lease = await seeker.tryOnce();
    if (lease) {
      this.#leases.use(lease);
      this.#isPacker = true;
      return false;
    }
    if (nowMs > untilMs) return false;
    if (isFirst) inform("waiting for another pod that is packing this cache");
    await seeker.pause(signal);
    return true;
  }

  async #takePlace(deadlineMs: number): Promise<void> {
    const { config, system, signal, inform } = this.#operation;
    const count = config.maxConcurrentSaves;
    const seeker = this.#seek(Array.from({ length: count }, (_, number) => ({ kind: "save", number })));
    const what = `one of the ${countOf(count, "place")}, MAX_CONCURRENT_SAVES, for those that save at once`;
    for (let attempt = 0;; attempt++) {
      const lease = await seeker.tryOnce();
      if (lease) return void this.#leases.use(lease);
      if (attempt === 0) inform(`waiting for ${what}`);
      if (system.clock.monotonicMs() > deadlineMs) {
        throw new CacheError(
          "contended",
          `Cannot save as ${what} did not become free within ${config.saveTimeoutS} s, B10_CACHE_SAVE_TIMEOUT_S; ` +
            "the next save tries again",
        );
      }
      await seeker.pause(signal);
    }
  }

  #seek(places: readonly LeasePlace[]): LeaseSeeker {
    const { config, system } = this.#operation;
    const { host, clock } = system;
    return new LeaseSeeker(system, this.#store, {
      places,
      holder: `process ${host.pid} on ${host.name}, since ${
        new Date(clock.nowMs()).toISOString()
      } by its clock`,
      timeoutMs: config.lockTimeoutS * 1000,
    });
  }
}
