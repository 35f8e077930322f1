/**
 * Layer names. Each is one character, so that lists and sets of them are strings: those of the beginning are A, B, …;
 * the compacted ones P, Q, …; what savers publish begins at a.
 */

/** A list of names in order, or a set of them, sorted. */
export type Names = string;

/** What layers contain: a bit for each thing that can be saved. */
export type Items = number;

const firstCompacted = 0x50;
const firstSaved = 0x61;

/** How often a layer can be published anew: once for every prune that condemns it. */
const maxAttempts = 4;
export const maxItems = 3;
const namesPerSaver = maxAttempts * maxItems;

/** Above the bits of the savers' items. */
const firstBitOfBeginning = 16;

/** One thing that one saver has to save; both are counted from 0. */
export interface Item {
  readonly saver: number;
  readonly item: number;
}

/** The name that the `attempt`-th layer of an item gets, counted from 0. */
export function savedName({ saver, item }: Item, attempt: number): string {
  return String.fromCharCode(
    firstSaved + saver * namesPerSaver + item * maxAttempts + checkedAttempt(attempt),
  );
}

/** The name of the compactor's `attempt`-th layer, counted from 0. */
export function compactedName(attempt: number): string {
  return String.fromCharCode(firstCompacted + checkedAttempt(attempt));
}

function checkedAttempt(attempt: number): number {
  if (attempt < maxAttempts) return attempt;
  throw new Error(`Cannot name attempt ${attempt} as there are names for ${maxAttempts}`);
}

export function bitOf({ saver, item }: Item): Items {
  return 1 << (saver * maxItems + item);
}

/** @param run what the compacted layers stand for. */
export function contentsOf(layers: Names, run: Names): Items {
  let items = 0;
  for (const name of layers) {
    const code = name.charCodeAt(0);
    if (code >= firstSaved) items |= 1 << Math.floor((code - firstSaved) / maxAttempts);
    else if (code >= firstCompacted) items |= contentsOf(run, "");
    else items |= 1 << (firstBitOfBeginning + code - "A".charCodeAt(0));
  }
  return items;
}

export function union(some: Names, more: Names): Names {
  const added = without(more, some);
  return added === "" ? some : [...some + added].sort().join("");
}

export function without(names: Names, gone: Names): Names {
  let left = "";
  for (const name of names) if (!gone.includes(name)) left += name;
  return left;
}

export function within(names: Names, others: Names): Names {
  let both = "";
  for (const name of names) if (others.includes(name)) both += name;
  return both;
}

/** As people read it: `A`, `compacted-1`, `saver1-2`. */
function readable(name: string): string {
  const code = name.charCodeAt(0);
  if (code < firstCompacted) return name;
  if (code < firstSaved) return `compacted-${code - firstCompacted + 1}`;
  const at = code - firstSaved;
  const attempt = at % maxAttempts === 0 ? "" : ` anew (${at % maxAttempts + 1})`;
  return `saver${Math.floor(at / namesPerSaver) + 1}-${
    Math.floor(at % namesPerSaver / maxAttempts) + 1
  }${attempt}`;
}

export function listOf(names: Names): string {
  return [...names].map(readable).join(", ");
}
