/** How commands begin: the settings, and the place of the store. What there is to say of them is said. */
import type { Log } from "../log.ts";
import { confineStore, type ResolvedSettings, resolveSettings } from "../pod.ts";
import { storeNotices } from "../store_writers.ts";
import { type CommandContext, settingsLog } from "./context.ts";

export interface Settled {
  readonly settings: ResolvedSettings;
  readonly log: Log;
}

/** @throws {CacheError} `bad_setting` */
export async function settle(context: CommandContext): Promise<Settled> {
  const settings = await resolveSettings(context.system, context.flagValues);
  const log = settingsLog(context, settings.config.logLevel);
  for (const text of settings.notices) log.warning(text);
  return { settings, log };
}

/** The real path of the store's directory. @throws {CacheError} as `confineStore` does. */
export async function settleStore({ system }: CommandContext, { settings, log }: Settled): Promise<string> {
  const storeDir = await confineStore(system, settings);
  for (const text of await storeNotices(system, storeDir)) log.warning(text);
  return storeDir;
}
