/** What the pods wrote and what they were told of one cache, whatever the store says. */

/** Who was told that the cache has a path, and since which generation. */
interface Promised {
  readonly generation: number;
  readonly by: string;
}

export class Journal {
  /** By path: the lines (see ../snapshot.ts) of all that was ever written there. */
  readonly #written = new Map<string, Set<string>>();
  readonly #promised = new Map<string, Promised>();
  #newest = 0;

  /** Before anyone can save it. */
  noteWritten(path: string, line: string): void {
    const lines = this.#written.get(path) ?? new Set();
    this.#written.set(path, lines.add(line));
  }

  /** Exactly this was once written to that path. */
  hasWritten(path: string, line: string): boolean {
    return this.#written.get(path)?.has(line) ?? false;
  }

  /** A save said of these paths that a generation has them. */
  notePromise(paths: readonly string[], promise: Promised): void {
    this.noteNumber(promise.generation);
    for (const path of paths) {
      const known = this.#promised.get(path);
      if (!known || known.generation > promise.generation) this.#promised.set(path, promise);
    }
  }

  /** An operation showed that the newest generation has at least this number. */
  noteNumber(generation: number): void {
    this.#newest = Math.max(this.#newest, generation);
  }

  /** No later look may show less. */
  get newest(): number {
    return this.#newest;
  }

  get promisedPaths(): number {
    return this.#promised.size;
  }

  /**
   * Promised paths that a generation should have and has not, in words.
   * @param has whether there is something in a path's place: where one pod's file is another's directory, either will do.
   */
  brokenPromises(generation: number, has: (path: string) => boolean): string[] {
    return [...this.#promised].filter(([path, promise]) => promise.generation <= generation && !has(path))
      .map(([path, { by, generation }]) => `${path}, of which ${by} was told in generation ${generation}`);
  }
}
