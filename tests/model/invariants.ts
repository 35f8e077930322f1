/** What must hold in every state, also right after a crash. The numbers are those of the project's list of faults. */
import { contentsOf, listOf, within, without } from "./names.ts";
import { retainedOf } from "./retained.ts";
import { generationsOf, type Numbered, type Store } from "./store.ts";

/** @returns what is wrong with the store, or undefined. */
export function brokenInvariant(store: Store): string | undefined {
  const generations = generationsOf(store);
  return lostNumber(store, generations) ?? unloadable(store, generations) ?? lostSuccess(store, generations);
}

/**
 * I3: a number has one winner. A writer that slept can win one that a prune has freed; that is harmless where the number
 * lies below all that is retained, as nobody reads it before a newer one. So no number from there on is ever free.
 */
function lostNumber({ slots, newest }: Store, generations: readonly Numbered[]): string | undefined {
  const { floor } = retainedOf(generations);
  for (let n = Math.max(floor, 1); n <= newest; n++) {
    if (slots[n] === undefined) return `I3: number ${n} can be won a second time`;
  }
  return undefined;
}

/** I1 and I5: the head, and all else that is retained, can be loaded. */
function unloadable({ layers }: Store, generations: readonly Numbered[]): string | undefined {
  const [absent] = without(retainedOf(generations).layers, layers);
  if (absent !== undefined) return `I1, I5: ${listOf(absent)} is gone, which a retained generation names`;
  const [head] = generations;
  const both = head ? within(head.generation.layers, head.generation.condemned) : "";
  return both === "" ? undefined : `I5: the head names ${listOf(both)}, which it condemns`;
}

/** I3: what SUCCESS was reported of is in the head for ever after, unless the cache was evicted. */
function lostSuccess({ promised, run }: Store, [head]: readonly Numbered[]): string | undefined {
  const lacking = promised & ~contentsOf(head?.generation.layers ?? "", run);
  return lacking === 0 ? undefined : "I3: the head lacks what SUCCESS was reported of";
}
