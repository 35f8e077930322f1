/** The store alone, behind the fence: for the commands that need neither a key nor a cache directory. */
import { readSignatures } from "../key_files.ts";
import {
  confineStore,
  putUpFence,
  requireKnownFileSystem,
  type ResolvedSettings,
  resolveSettings,
  storeNotices,
} from "../pod.ts";
import { openPodStore } from "../pod_store.ts";
import type { Store } from "../store.ts";
import { type CommandContext, settingsLog } from "./context.ts";

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
  const settings = await resolveSettings(system, context.flagValues);
  const log = settingsLog(context, settings.config.logLevel);
  for (const text of settings.notices) log.warning(text);
  const storeDir = await confineStore(system, settings);
  check(storeDir, settings);
  for (const text of await storeNotices(system, storeDir)) log.warning(text);
  const signatures = await readSignatures(system, settings.config);
  await putUpFence(system, [storeDir]);
  return { settings, storeDir, store: await openPodStore(system, storeDir, signatures) };
}
