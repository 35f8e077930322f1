/** Looking for the head: the newest number is found in one step and read in another. */
import { type Generation, highestNumber, type Store } from "./store.ts";

export interface Look {
  /** The number that is read next; 0 before the numbers are listed. */
  readonly at: number;
  readonly listed: number;
}

export const freshLook: Look = { at: 0, listed: 0 };

/** What a commit grows from. */
export interface Base {
  /** 0 where there is no generation. */
  readonly n: number;
  readonly generation: Generation;
  /** The number above all that were taken. */
  readonly next: number;
}

export interface Looked {
  readonly what: string;
  /** A look that goes on, or what it found. */
  readonly found: { readonly look: Look } | { readonly base: Base };
}

const nothing: Generation = { layers: "", condemned: "" };

/**
 * One step of a look. Here a listing is never stale, so that nothing has to be probed for: what a probe finds is what a
 * later look finds, and what it does not find changes nothing.
 * @param orBelow a number that is gone makes it go on below, instead of looking anew.
 */
export function lookOn(store: Store, { at, listed }: Look, { orBelow }: { orBelow: boolean }): Looked {
  if (at === 0) return list(store);
  const slot = store.slots[at];
  if (slot === undefined && !orBelow) return { what: `finds ${at} gone`, found: { look: freshLook } };
  if (slot === undefined || slot === "torn") {
    const what = `finds ${at} ${slot ?? "gone"}`;
    if (at > 1) return { what, found: { look: { at: at - 1, listed } } };
    return { what, found: { base: { n: 0, generation: nothing, next: listed + 1 } } };
  }
  return { what: `reads ${at}`, found: { base: { n: at, generation: slot, next: listed + 1 } } };
}

function list(store: Store): Looked {
  const listed = highestNumber(store);
  const what = `sees that the newest is ${listed}`;
  if (listed === 0) return { what, found: { base: { n: 0, generation: nothing, next: 1 } } };
  return { what, found: { look: { at: listed, listed } } };
}

export function lookKey({ at, listed }: Look): string {
  return `${at}${listed}`;
}

export function baseKey({ n, generation, next }: Base): string {
  return `${n}${next}${generation.layers}/${generation.condemned}`;
}
