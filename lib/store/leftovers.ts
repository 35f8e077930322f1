/** What killed processes left in a store. */
import { sweepUnfinished } from "../cleanup.ts";
import type { Clock, Random } from "../system.ts";
import { isIncomingName, isUnfinishedFormatName, type KeyDirs, leasesDir, nonceBytes } from "./layout.ts";
import { bestEffort, createPrivate, ifThere, isInPlace, modifiedMs, type Share } from "./share.ts";

export interface Leftovers {
  readonly share: Share;
  readonly random: Random;
  readonly clock: Clock;
  readonly nativeDir: string;
}

interface SweptPlace {
  readonly dir: string;
  readonly isUnfinished: (name: string) => boolean;
}

/**
 * Everything below incoming/ is unfinished, by whatever way of committing, and so is what lies beside format.json
 * under such a name. Where nothing looks old by this machine's clock nothing is written; what is old only a file made
 * in the same store decides.
 */
export async function sweepLeftovers(
  { share, random, clock, nativeDir }: Leftovers,
  dirs: KeyDirs,
  maxAgeMs: number,
): Promise<void> {
  const places: readonly SweptPlace[] = [
    { dir: dirs.incoming, isUnfinished: isIncomingName },
    { dir: `${leasesDir(nativeDir)}/incoming`, isUnfinished: isIncomingName },
    { dir: nativeDir, isUnfinished: isUnfinishedFormatName },
  ];
  const due: SweptPlace[] = [];
  for (const place of places) if (await looksOld(share, place, clock.nowMs() - maxAgeMs)) due.push(place);
  if (due.length === 0) return;
  await withFreshFile({ share, random }, dirs, async (fresh) => {
    for (const place of due) {
      await sweepUnfinished(share.fs, {
        ...place,
        awayDir: dirs.incoming,
        fresh,
        maxAgeMs,
        awayName: () => `${random.hex(nonceBytes)}.swept`,
      });
    }
  });
}

async function looksOld(share: Share, { dir, isUnfinished }: SweptPlace, beforeMs: number): Promise<boolean> {
  const entries = await ifThere(() => share.fs.list(dir)) ?? [];
  // What lies behind a symlink is nobody's leftover.
  if (!await isInPlace(share.fs, dir)) return false;
  for (const { name } of entries) {
    if (!isUnfinished(name)) continue;
    const stat = await ifThere(() => share.fs.lstat(`${dir}/${name}`));
    if (stat && modifiedMs(stat) < beforeMs) return true;
  }
  return false;
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
