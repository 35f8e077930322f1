/** Chance that a seed decides: the same in every run. Pure. */
import { createHash } from "node:crypto";

/** Everyone has a generator of their own, so that what one draws does not hang on who else drew before. */
export class Seeded {
  #state: number;

  constructor(seed: number, name: string) {
    this.#state = createHash("sha256").update(`${seed} ${name}`).digest().readUInt32LE();
  }

  /** A number in [0, 1), by mulberry32. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  between(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  /** A whole number from 0 on, below `count`. */
  below(count: number): number {
    return Math.floor(this.fraction() * count);
  }

  chance(percent: number): boolean {
    return this.fraction() * 100 < percent;
  }

  /** @throws {RangeError} for an empty list */
  pick<T>(list: readonly [T, ...T[]] | readonly T[]): T {
    const picked = list[this.below(list.length)];
    if (picked === undefined) throw new RangeError("Cannot pick from an empty list");
    return picked;
  }

  /** Bytes that cannot be compressed. */
  bytes(count: number): Uint8Array {
    const words = Uint32Array.from({ length: Math.ceil(count / 4) }, () => this.below(2 ** 32));
    return new Uint8Array(words.buffer, 0, count);
  }
}
