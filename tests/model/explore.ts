/** A breadth-first search over every state that a machine can get into. Knows nothing of what the machine is. */

export interface Step<State> {
  /** Who did what, for people. */
  readonly what: string;
  readonly state: State;
}

export interface Machine<State> {
  readonly initial: State;
  /** Two states with one key are one state. */
  readonly keyOf: (state: State) => string;
  /** Everything that can happen next. */
  readonly stepsFrom: (state: State) => readonly Step<State>[];
  /** What is wrong with a state; undefined where all is well. */
  readonly problemOf: (state: State) => string | undefined;
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  /** The most steps that it takes to get to a state by the shortest way. */
  readonly depth: number;
  /** The first problem found, which none is nearer to the initial state than, and the steps that lead to it. */
  readonly violation?: { readonly problem: string; readonly trace: readonly string[] };
}

/** Visits every state, nearest first, and ends at the first one with a problem. */
export function explore<State>(machine: Machine<State>): Exploration {
  const { initial, keyOf, stepsFrom, problemOf } = machine;
  const problem = problemOf(initial);
  if (problem !== undefined) {
    return { states: 1, transitions: 0, depth: 0, violation: { problem, trace: [] } };
  }
  // A state's number is its place in here.
  const keys = new Set([keyOf(initial)]);
  const parents = [0];
  let transitions = 0;
  let depth = 0;
  let level: State[] = [initial];
  for (let first = 0; level.length > 0; depth++) {
    const next: State[] = [];
    for (const [at, state] of level.entries()) {
      for (const step of stepsFrom(state)) {
        transitions++;
        const before = keys.size;
        if (keys.add(keyOf(step.state)).size === before) continue;
        parents.push(first + at);
        next.push(step.state);
        const problem = problemOf(step.state);
        if (problem === undefined) continue;
        const trace = traceOf(machine, pathTo(before, { keys, parents }));
        return { states: keys.size, transitions, depth: depth + 1, violation: { problem, trace } };
      }
    }
    first += level.length;
    level = next;
  }
  return { states: keys.size, transitions, depth: depth - 1 };
}

/** The keys on the way from the initial state, which is left out, to the state with this number. */
function pathTo(
  last: number,
  { keys, parents }: { keys: Iterable<string>; parents: readonly number[] },
): string[] {
  const all = [...keys];
  const path: string[] = [];
  for (let at = last; at > 0; at = parents[at] ?? 0) path.unshift(all[at] ?? "");
  return path;
}

/** What happened, by doing it once more: keeping it for every state would take most of the memory. */
function traceOf<State>({ initial, keyOf, stepsFrom }: Machine<State>, path: readonly string[]): string[] {
  let state = initial;
  return path.map((key) => {
    const step = stepsFrom(state).find((step) => keyOf(step.state) === key);
    if (!step) throw new Error(`Cannot repeat the way to "${key}" as the machine is not deterministic`);
    state = step.state;
    return step.what;
  });
}
