/** What a prune keeps. */
import type { Names } from "./names.ts";
import type { Numbered } from "./store.ts";

/** So many newest generations with different layers are retained. */
const retainedLists = 2;

export interface Retained {
  /** The lowest number that is retained, or 0. */
  readonly floor: number;
  /** What the retained generations name, in no order, and some of it more than once. */
  readonly layers: Names;
  /** There are so many lists of layers, or an eviction. Otherwise every number is retained. */
  readonly isFull: boolean;
}

/**
 * As long as there are fewer lists, no number is given up, not even those that only repeat a list: whoever slept could
 * win it, and what it puts there would be taken for the generation before. Nothing behind an eviction is retained:
 * nobody falls back from an empty cache.
 */
export function retainedOf(newestFirst: readonly Numbered[]): Retained {
  const lists: Names[] = [];
  for (const { n, generation } of newestFirst) {
    if (lists.includes(generation.layers)) continue;
    lists.push(generation.layers);
    const isFull = lists.length === retainedLists || generation.layers === "";
    if (isFull) return { floor: n, layers: lists.join(""), isFull };
  }
  return { floor: newestFirst.at(-1)?.n ?? 0, layers: lists.join(""), isFull: false };
}
