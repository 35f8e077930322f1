/** What killed processes left in a store. */
import { sweepUnfinished } from "../cleanup.ts";
import type { Random } from "../system.ts";
import { isIncomingName, isUnfinishedFormatName, type KeyDirs, leasesDir, nonceBytes } from "./layout.ts";
import { bestEffort, createPrivate, modifiedMs, type Share } from "./share.ts";

export interface Leftovers {
  readonly share: Share;
  readonly random: Random;
  readonly nativeDir: string;
}

/**
 * Everything below incoming/ is unfinished, by whatever way of committing, and so is what lies beside format.json
 * under such a name.
 */
export async function sweepLeftovers(
  { share, random, nativeDir }: Leftovers,
  dirs: KeyDirs,
  maxAgeMs: number,
): Promise<void> {
  const awayName = () => `${random.hex(nonceBytes)}.swept`;
  await withFreshFile({ share, random }, dirs, async (fresh) => {
    const places = [
      { dir: dirs.incoming, isUnfinished: isIncomingName },
      { dir: `${leasesDir(nativeDir)}/incoming`, isUnfinished: isIncomingName },
      { dir: nativeDir, awayDir: dirs.incoming, isUnfinished: isUnfinishedFormatName },
    ];
    for (const place of places) await sweepUnfinished(share.fs, { ...place, fresh, maxAgeMs, awayName });
  });
}

/** The share's own time, in ms since 1970. */
export async function shareNowMs(world: { share: Share; random: Random }, dirs: KeyDirs): Promise<number> {
  return await withFreshFile(world, dirs, async (fresh) => modifiedMs(await world.share.fs.lstat(fresh)));
}

async function withFreshFile<T>(
  { share, random }: { share: Share; random: Random },
  { incoming }: KeyDirs,
  act: (fresh: string) => Promise<T>,
): Promise<T> {
  const fresh = `${incoming}/${random.hex(nonceBytes)}.now`;
  await (await createPrivate(share, fresh)).close();
  try {
    return await act(fresh);
  } finally {
    await bestEffort(() => share.fs.unlink(fresh));
  }
}
