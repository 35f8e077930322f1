/** The store alone, behind the fence: for the commands that need neither a key nor a cache directory. */
import { readSignatures } from "../key_files.ts";
import { putUpFence } from "../fence.ts";
import { requireKnownFileSystem, type ResolvedSettings } from "../pod.ts";
import { openPodStore } from "../pod_store.ts";
import type { Store } from "../store.ts";
import type { CommandContext } from "./context.ts";
import { settle, settleStore } from "./settle.ts";

export interface FencedStore {
  readonly settings: ResolvedSettings;
  readonly storeDir: string;
  /** undefined where none was made yet. */
  readonly store: Store | undefined;
}

/** @throws {CacheError} where the settings are wrong, or the store cannot be opened. */
export function openFencedStore(context: CommandContext): Promise<FencedStore> {
  return open(context, () => {});
}

/** @throws {CacheError} `store_unsupported` also where writing to it would be hope. */
export function openFencedStoreToWrite(context: CommandContext): Promise<FencedStore> {
  return open(context, (storeDir, settings) => requireKnownFileSystem(context.system, storeDir, settings));
}

async function open(
  context: CommandContext,
  check: (storeDir: string, settings: ResolvedSettings) => void,
): Promise<FencedStore> {
  const { system } = context;
  const settled = await settle(context);
  const { settings } = settled;
  const storeDir = await settleStore(context, settled);
  check(storeDir, settings);
  const signatures = await readSignatures(system, settings.config, { storeDir, roots: [] });
  await putUpFence(system, [storeDir]);
  return { settings, storeDir, store: await openPodStore(system, storeDir, signatures) };
}
