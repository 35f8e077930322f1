/** What held, and what did not. */

/** docs/protocol.md promises these whatever happens. */
const invariants = {
  I1: "every committed generation loads byte for byte: content, mode, modification time to the nanosecond",
  I2:
    "a pod holds what it held and whole entries; what index-like files list is there; SKIPPED only with everything",
  I3: "a generation number has one winner, and every SUCCESS reported is in the history that readers see",
  I4: "every command ends, and the next one succeeds with no manual cleaning",
  I5: "a prune removes nothing that a retained generation needs, nor an upload under way",
  I6: "leftovers are bounded and go away",
} as const;

export type Invariant = keyof typeof invariants;

/** More are of no help to anyone. */
const mostShown = 10;

export class Verdict {
  readonly #problems = new Map<Invariant, Set<string>>();
  readonly #checked = new Map<Invariant, string[]>();

  /** Something broke the invariant. */
  fail(invariant: Invariant, problem: string): void {
    const problems = this.#problems.get(invariant) ?? new Set();
    this.#problems.set(invariant, problems.add(problem));
  }

  failAll(invariant: Invariant, problems: Iterable<string>): void {
    for (const problem of problems) this.fail(invariant, problem);
  }

  /** What was looked at, in words: a check that looks at nothing says so. */
  note(invariant: Invariant, ...checked: readonly string[]): void {
    this.#checked.set(invariant, [...this.#checked.get(invariant) ?? [], ...checked]);
  }

  get isGood(): boolean {
    return this.#problems.size === 0;
  }

  toString(): string {
    return (Object.keys(invariants) as Invariant[]).map((invariant) => this.#describe(invariant)).join("\n");
  }

  #describe(invariant: Invariant): string {
    const problems = [...this.#problems.get(invariant) ?? []];
    const shown = problems.slice(0, mostShown).map((problem) => `       ! ${problem}`);
    return [
      `${problems.length === 0 ? "PASS" : "FAIL"}  ${invariant}  ${invariants[invariant]}`,
      ...(this.#checked.get(invariant) ?? []).map((checked) => `          ${checked}`),
      ...shown,
      ...(problems.length > mostShown ? [`       ! and ${problems.length - mostShown} more`] : []),
    ].join("\n");
  }
}
