/** Chunks of any size become pieces of the size that a reader asks for. */

export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #current: Uint8Array = new Uint8Array(0);
  #ended = false;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** @returns exactly `length` bytes; fewer at the end, and then for ever none. */
  async take(length: number): Promise<Uint8Array> {
    if (this.#current.length >= length) return this.#cut(length);
    const taken = new Uint8Array(length);
    let filled = 0;
    while (filled < length && await this.#fill()) {
      const part = this.#cut(length - filled);
      taken.set(part, filled);
      filled += part.length;
    }
    return taken.subarray(0, filled);
  }

  /** @returns how many bytes were passed over: fewer than `length` at the end. */
  async skip(length: number): Promise<number> {
    let skipped = 0;
    while (skipped < length && await this.#fill()) skipped += this.#cut(length - skipped).length;
    return skipped;
  }

  /** The next bytes, however many there are; none at the end. */
  async next(): Promise<Uint8Array> {
    return await this.#fill() ? this.#cut(this.#current.length) : this.#current;
  }

  #cut(length: number): Uint8Array {
    const part = this.#current.subarray(0, length);
    this.#current = this.#current.subarray(part.length);
    return part;
  }

  /** @returns false at the end. */
  async #fill(): Promise<boolean> {
    while (this.#current.length === 0 && !this.#ended) {
      const { done, value } = await this.#chunks.next();
      if (done) this.#ended = true;
      else this.#current = value;
    }
    return this.#current.length > 0;
  }
}
