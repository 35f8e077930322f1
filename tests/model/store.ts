/** The store of one key, as far as the protocol needs it, and the accesses that are one atomic step each. */
import { contentsOf, type Items, listOf, type Names, without } from "./names.ts";

/** The scope of the search: there is no higher number. */
export const maxNumber = 9;

export interface Generation {
  /** In order. */
  readonly layers: Names;
  readonly condemned: Names;
}

/** What lies at a number. Torn is a file that was created and is not written yet. */
export type Slot = Generation | "torn" | undefined;

export interface Store {
  /** By number; there is nothing at 0. */
  readonly slots: readonly Slot[];
  /** The files that exist. */
  readonly layers: Names;
  /** The candidates that a pruner has marked, at its place among the actors. */
  readonly marks: readonly Names[];
  /** What began within the last grace; undefined where time plays no part. */
  readonly recent: string | undefined;
  /** What a compacted layer stands for. */
  readonly run: Names;
  /** The highest number that was ever put. */
  readonly newest: number;
  /** The number of the last eviction, or 0. */
  readonly evicted: number;
  /** What SUCCESS was reported of and no eviction has removed since. */
  readonly promised: Items;
}

/** A generation with its number. */
export interface Numbered {
  readonly n: number;
  readonly generation: Generation;
}

interface Beginning {
  readonly run: Names;
  /** What the compacted layers hold is lost, and nobody owes it. */
  readonly isDamaged: boolean;
  /** How many there are. */
  readonly actors: number;
  readonly isTimed: boolean;
}

/** @param history the layers of the generations 1, 2, … */
export function newStore(history: readonly Names[], { run, isDamaged, actors, isTimed }: Beginning): Store {
  const slots = Array.from({ length: maxNumber + 1 }, (_, n): Slot => {
    const layers = history[n - 1];
    return layers === undefined ? undefined : { layers, condemned: "" };
  });
  return {
    slots,
    layers: [...new Set(history.join(""))].sort().join(""),
    marks: Array.from({ length: actors }, () => ""),
    recent: isTimed ? "" : undefined,
    run,
    newest: history.length,
    evicted: 0,
    promised: contentsOf(history.at(-1) ?? "", isDamaged ? "" : run),
  };
}

/** The highest number that is taken, or 0. */
export function highestNumber({ slots }: Store): number {
  let n = maxNumber;
  while (n > 0 && slots[n] === undefined) n--;
  return n;
}

/** The next valid generation below a number. */
export function generationBelow({ slots }: Store, number: number): Numbered | undefined {
  for (let n = number - 1; n > 0; n--) {
    const slot = slots[n];
    if (slot !== undefined && slot !== "torn") return { n, generation: slot };
  }
  return undefined;
}

/** Every valid generation, the newest first. */
export function generationsOf(store: Store): Numbered[] {
  const all: Numbered[] = [];
  for (let next = generationBelow(store, maxNumber + 1); next; next = generationBelow(store, next.n)) {
    all.push(next);
  }
  return all;
}

export interface Put {
  readonly what: string;
  readonly store: Store;
  readonly hasWon: boolean;
}

/** A link: of all that put one number one wins, and what it puts appears whole. */
export function putIfAbsent(store: Store, { n, generation }: Numbered): Put {
  if (store.slots[n] !== undefined) return { what: `finds ${n} taken`, store, hasWon: false };
  const isHead = n > highestNumber(store);
  const put = began(withSlot(store, n, generation), generationToken(n));
  const isEviction = isHead && generation.layers === "";
  return {
    what: `puts ${n}${isHead ? "" : ", below the head,"} of ${describe(generation)}`,
    store: isEviction ? { ...put, evicted: n, promised: 0 } : put,
    hasWon: true,
  };
}

export function withSlot(store: Store, n: number, slot: Slot): Store {
  const slots = store.slots.slice();
  slots[n] = slot;
  return { ...store, slots, newest: Math.max(store.newest, slot === undefined ? 0 : n) };
}

export function withoutLayer(store: Store, name: string): Store {
  return { ...store, layers: without(store.layers, name) };
}

export function describe({ layers, condemned }: Generation): string {
  return `[${listOf(layers)}]${condemned === "" ? "" : `, ${listOf(condemned)} condemned`}`;
}

// Time is the order in which things began: what is oldest among the recent is the next to be older than a grace. A
// token is one character.

export function generationToken(n: number): string {
  return `${n}`;
}

/** @param actor its place among the actors. */
export function markToken(actor: number): string {
  return String.fromCharCode("a".charCodeAt(0) + actor);
}

/** @param actor its place among the actors. */
export function loadToken(actor: number): string {
  return String.fromCharCode("A".charCodeAt(0) + actor);
}

export function began(store: Store, token: string): Store {
  return store.recent === undefined ? store : { ...store, recent: store.recent + token };
}

export function endedLoad(store: Store, actor: number): Store {
  const { recent } = store;
  return recent?.includes(loadToken(actor))
    ? { ...store, recent: recent.replace(loadToken(actor), "") }
    : store;
}

export function isRecent({ recent }: Store, token: string): boolean {
  return recent?.includes(token) ?? false;
}

/**
 * A grace passes since whatever began first. It does not while that is a load: a load takes less than a grace.
 * @returns undefined where that can't be next.
 */
export function aged(store: Store): Store | undefined {
  const [oldest] = store.recent ?? "";
  if (store.recent === undefined || oldest === undefined || (oldest >= "A" && oldest <= "Z")) {
    return undefined;
  }
  return { ...store, recent: store.recent.slice(1) };
}
