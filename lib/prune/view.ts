/** One consistent look at a key, for a prune to decide on. */
import { findHead, type Head, lookAt, readStanding } from "../history.ts";
import type { CacheKey } from "../key.ts";
import type { Generation } from "../manifest.ts";
import { type ReadMark, readMarks } from "../marks.ts";
import type { Store, StoredLayer } from "../store.ts";
import { nowMs, type Prune } from "./work.ts";

/** What a look at one key shows. */
export interface View {
  readonly head: Head;
  /** Every number up to the head's, ascending. */
  readonly numbers: readonly number[];
  /** The valid ones of them, ascending: the head is the last. */
  readonly generations: readonly Generation[];
  readonly stored: readonly StoredLayer[];
  readonly marks: readonly ReadMark[];
  readonly nowMs: number;
}

/**
 * The layers are listed before the head is looked for: one that is listed and that this head does not name can only be
 * named by a later one, and then a commit on this head loses.
 */
export async function lookAtKey(work: Prune, key: CacheKey): Promise<View> {
  const { store } = work;
  const stored = await store.layers(key);
  const head = await findHead(store, key);
  return {
    head,
    ...await walkDown(store, key, head),
    stored,
    marks: await readMarks(store, key),
    nowMs: await nowMs(work, key),
  };
}

/** How many numbers running must be absent before the way down ends: a prune removes from the bottom up. */
const absencesAtTheEnd = 2;

/** By opening one number after the other, as a listing may miss some; and whatever else is listed below. */
async function walkDown(
  store: Store,
  key: CacheKey,
  head: Head,
): Promise<Pick<View, "numbers" | "generations">> {
  const top = head.generation?.manifest.n ?? head.next - 1;
  const numbers: number[] = [];
  const generations: Generation[] = [];
  const visit = async (n: number): Promise<boolean> => {
    const read = await readStanding(store, key, n);
    if (read.kind === "gone") return false;
    numbers.push(n);
    if (read.kind === "valid") generations.push(read.generation);
    return true;
  };
  let n = top;
  for (let absent = 0; n > 0 && absent < absencesAtTheEnd; n--) absent = await visit(n) ? 0 : absent + 1;
  for (const listed of (await lookAt(store, key)).numbers) if (listed <= n) await visit(listed);
  return { numbers: numbers.reverse(), generations: generations.reverse() };
}
