/**
 * The command that `run` starts itself for, and nobody else: notes that a server died after a restore, before it was
 * ready.
 */
import { CacheError } from "../errors.ts";
import { PodState } from "../pod_state.ts";
import { putUpFence } from "../fence.ts";
import { confineStore, identify, requireKnownFileSystem, resolveSettings } from "../pod.ts";
import { confineRoots } from "../pod_roots.ts";
import { openPodStore } from "../pod_store.ts";
import { stateDir } from "../state_dir.ts";
import { noteSuspect } from "../suspects.ts";
import { bounded } from "./bounded.ts";
import type { CommandContext } from "./context.ts";
import type { LoadSaveFlags } from "./load_save.ts";
import { rootChoice } from "./root_choice.ts";

export interface SuspectFlags extends LoadSaveFlags {
  /** The content ID of what was restored. */
  readonly content?: string;
}

export function suspectCommand(context: CommandContext, flags: SuspectFlags): Promise<number> {
  const { system } = context;
  const { selection, extra } = rootChoice(flags);
  return bounded(context, {
    operation: "suspect",
    deadline: "load",
    act: async ({ elapsedMs }) => {
      const settings = await resolveSettings(system, context.flagValues);
      const roots = await confineRoots(system, settings, selection, { extra });
      const storeDir = await confineStore(system, settings);
      const { key } = await identify(system, settings, flags.forCommand);
      const { dir } = await stateDir(system, settings, { roots, create: true });
      const isWritable = mayWrite(() => requireKnownFileSystem(system, storeDir, settings));
      await putUpFence(system, dir === undefined ? [storeDir] : [storeDir, dir]);
      const store = isWritable ? await openPodStore(system, storeDir, {}) : undefined;
      const state = dir === undefined ? undefined : new PodState(system, dir);
      const noted = await noteSuspect({ store, key, state }, flags.content ?? "");
      if (!noted) throw new CacheError("store_io", "The suspect cache could be noted nowhere");
      return {
        operation: "suspect",
        status: "SUCCESS",
        key,
        elapsed_ms: Math.round(elapsedMs()),
        message: noted === "store"
          ? "the cache is suspect for every pod until another one is saved"
          : "the cache is suspect on this pod until another one is saved: the store cannot be written to",
      };
    },
  });
}

function mayWrite(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof CacheError) return false;
    throw error;
  }
}
