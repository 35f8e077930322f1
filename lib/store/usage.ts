/** When a cache was last used: the modification time of its file `used`, by the share's own clock. */
import { useNoteIntervalMs } from "../store.ts";
import type { Clock } from "../system.ts";
import type { KeyDirs } from "./layout.ts";
import { bestEffort, createPrivate, ifThere, modifiedMs, type Share } from "./share.ts";

export async function lastUseMs(share: Share, { used }: KeyDirs): Promise<number | undefined> {
  const stat = await ifThere(() => share.fs.stat(used));
  return stat && modifiedMs(stat);
}

/**
 * By a new file in place of the old one, as setting a file's time would write this machine's clock into it. A machine
 * whose clock is off notes too often rather than never.
 */
export async function noteUse(
  world: { clock: Clock; share: Share },
  dirs: KeyDirs,
  nonce: string,
): Promise<void> {
  const { clock, share } = world;
  const lastMs = await lastUseMs(share, dirs);
  if (lastMs !== undefined && Math.abs(clock.nowMs() - lastMs) < useNoteIntervalMs) return;
  const temporary = `${dirs.incoming}/${nonce}.used`;
  await (await createPrivate(share, temporary)).close();
  try {
    await share.fs.rename(temporary, dirs.used);
  } catch (error) {
    await bestEffort(() => share.fs.unlink(temporary));
    throw error;
  }
}
