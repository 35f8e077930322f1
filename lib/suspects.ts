/**
 * Suspects: what was restored when a server died before it was ready. It is not restored again until something else is
 * saved, by a pod that got ready without it. Told by content ID, so that a prune's generation of the same layers is as
 * suspect as the one before.
 */
import type { CacheKey } from "./key.ts";
import { putMark, readMarks } from "./marks.ts";
import type { PodState } from "./pod_state.ts";
import type { Store } from "./store.ts";

/** Their content IDs, as the store and this pod have noted them. Best effort: a mark that cannot be read accuses nobody. */
export async function readSuspects(
  store: Store,
  key: CacheKey,
  state: PodState | undefined,
): Promise<ReadonlySet<string>> {
  const [marks, own] = await Promise.all([
    readMarks(store, key).catch(() => []),
    state?.suspects() ?? new Set<string>(),
  ]);
  return new Set([...own, ...marks.flatMap((mark) => mark.kind === "suspect" ? [mark.content] : [])]);
}

/**
 * Notes a content as suspect: in the store, for every pod, or where that cannot be written to on this pod.
 * @param store undefined where nothing may be written to it.
 * @returns where it was noted; undefined where neither could be.
 */
export async function noteSuspect(
  { store, key, state }: { store: Store | undefined; key: CacheKey; state: PodState | undefined },
  content: string,
): Promise<"store" | "pod" | undefined> {
  if (store && await isDone(() => noteInStore(store, key, content))) return "store";
  return state && await isDone(() => state.noteSuspect(content)) ? "pod" : undefined;
}

async function noteInStore(store: Store, key: CacheKey, content: string): Promise<void> {
  const known = await readMarks(store, key);
  if (known.some((mark) => mark.kind === "suspect" && mark.content === content)) return;
  await putMark(store, key, { kind: "suspect", content });
}

async function isDone(step: () => Promise<void>): Promise<boolean> {
  try {
    await step();
    return true;
  } catch {
    return false;
  }
}
