/**
 * Rollbacks: whoever can write to a store cannot sign, and can put back what was signed once. A pod where signatures are
 * demanded remembers the newest generation of each cache that it has seen, and goes by nothing older. What it has seen is
 * told apart by the store's ID, which whoever puts another store there brings along: so it remembers also which store it
 * has seen in a directory.
 */
import { CacheError, messageOf } from "./errors.ts";
import { readGeneration } from "./history.ts";
import type { Operation } from "./operation.ts";
import type { Cache, PodState } from "./pod_state.ts";
import type { Store } from "./store.ts";
import { quote } from "./text.ts";

/**
 * @param newest the number of the newest trusted generation, 0 where there is none.
 * @returns "stale" where what this pod has seen is there all the same: the share's listing is old.
 * @throws {CacheError} `rollback`
 */
export async function checkRollback(
  operation: Pick<Operation, "state" | "storeDir" | "key" | "notice">,
  store: Store,
  newest: number,
): Promise<"fresh" | "stale"> {
  const { state, storeDir, key, notice } = operation;
  if (!state || !store.signatures?.trusted) return "fresh";
  await refuseOtherStore(state, storeDir, { key, storeId: store.id });
  const cache = { storeId: store.id, key };
  const seen = await state.newestSeen(cache);
  if (newest >= seen) {
    try {
      if (newest > seen) await state.noteSeen(cache, newest);
      if (newest > 0) await state.noteStore(storeDir, store.id);
    } catch (error) {
      notice(
        `that generation ${newest} was seen is not recorded, so that a rollback is not noticed: ${
          messageOf(error)
        }`,
      );
    }
    return "fresh";
  }
  const read = await readGeneration(store, key, seen);
  if (read.kind === "valid") return "stale";
  const found = newest === 0 ? "has no trusted generation any more" : `goes back to generation ${newest}`;
  const why = read.kind === "untrusted"
    ? `it is there and is not trusted any more: ${read.problem}. Either its key was taken off that list before a newer ` +
      "one had signed, or somebody rolled the store back"
    : "somebody rolled the store back, or its newest generation is damaged";
  throw new CacheError(
    "rollback",
    `Cannot use ${key} in the store ${
      quote(storeDir)
    } as its history ${found} and this pod has seen generation ` +
      `${seen}, signed: ${why}. If that was meant, remove ${quote(state.placeOfSeen(cache))}`,
  );
}

async function refuseOtherStore(state: PodState, storeDir: string, { key, storeId }: Cache): Promise<void> {
  const seen = await state.storeSeen(storeDir);
  if (seen === undefined || seen === storeId) return;
  throw new CacheError(
    "rollback",
    `Cannot use ${key} in the store ${
      quote(storeDir)
    } as this pod has seen signed caches of the store ${seen} there, ` +
      `and it is the store ${storeId} now: somebody put another store there, whose caches may be older or another ` +
      "fleet's, or the store was made anew. Put the old one back; if the new one was meant, remove " +
      quote(state.placeOfStore(storeDir)),
  );
}
