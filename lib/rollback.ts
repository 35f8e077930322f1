/**
 * Rollbacks: whoever can write to a store cannot sign, and can put back what was signed once. A pod where signatures are
 * demanded remembers the newest generation of each cache that it has seen, and goes by nothing older.
 */
import { CacheError, messageOf } from "./errors.ts";
import { readGeneration } from "./history.ts";
import type { Operation } from "./operation.ts";
import type { Store } from "./store.ts";

/**
 * @param newest the number of the newest trusted generation, 0 where there is none.
 * @returns "stale" where what this pod has seen is there all the same: the share's listing is old.
 * @throws {CacheError} `rollback`
 */
export async function checkRollback(
  { state, key, notice }: Pick<Operation, "state" | "key" | "notice">,
  store: Store,
  newest: number,
): Promise<"fresh" | "stale"> {
  if (!state || !store.signatures?.trusted) return "fresh";
  const cache = { storeId: store.id, key };
  const seen = await state.newestSeen(cache);
  if (newest >= seen) {
    try {
      if (newest > seen) await state.noteSeen(cache, newest);
    } catch (error) {
      notice(
        `that generation ${newest} was seen is not recorded, so that a rollback is not noticed: ${
          messageOf(error)
        }`,
      );
    }
    return "fresh";
  }
  if ((await readGeneration(store, key, seen)).kind === "valid") return "stale";
  const found = newest === 0 ? "has no trusted generation any more" : `goes back to generation ${newest}`;
  throw new CacheError(
    "rollback",
    `Cannot use ${key} as its history ${found} and this pod has seen generation ${seen}, signed: somebody rolled the ` +
      `store back, or its newest generation is damaged. If that was meant, remove "${
        state.placeOfSeen(cache)
      }"`,
  );
}
