/** Sweeping what killed processes left behind. */
import { removeTree } from "./remove_tree.ts";
import type { FileSystem } from "./system.ts";

export interface Sweep {
  readonly dir: string;
  /** Names of unfinished work in `dir`; all else is left alone. */
  readonly isUnfinished: (name: string) => boolean;
  /** Made just now in the same file system: ages are measured against its time, as the clocks of two machines differ. */
  readonly fresh: string;
  /** Longer than whoever makes such work can live. */
  readonly maxAgeMs: number;
  /** Where it is renamed away to; by default `dir`. It must be on the same file system, and swept itself. */
  readonly awayDir?: string;
  /** A name that is never used twice, and that `isUnfinished` knows: a sweep that dies is ended by the next one. */
  readonly awayName: () => string;
}

const nsPerMs = 1_000_000n;

/**
 * Removes unfinished work whose last change is older than `maxAgeMs`. It is renamed away first, so that a writer that
 * wakes up finds nothing rather than a part of it. Best effort: whatever cannot be removed is for the next sweep.
 * @returns how many were removed.
 */
export async function sweepUnfinished(fs: FileSystem, sweep: Sweep): Promise<number> {
  let removed = 0;
  for (const name of await oldNames(fs, sweep)) {
    const away = `${sweep.awayDir ?? sweep.dir}/${sweep.awayName()}`;
    if (await removeAway(fs, `${sweep.dir}/${name}`, away)) removed++;
  }
  return removed;
}

async function oldNames(fs: FileSystem, { dir, isUnfinished, fresh, maxAgeMs }: Sweep): Promise<string[]> {
  try {
    const { mtimeNs: nowNs } = await fs.lstat(fresh);
    const names = (await fs.list(dir)).map((entry) => entry.name).filter(isUnfinished);
    const old: string[] = [];
    for (const name of names) {
      const { mtimeNs } = await fs.lstat(`${dir}/${name}`);
      if (nowNs - mtimeNs > BigInt(Math.round(maxAgeMs)) * nsPerMs) old.push(name);
    }
    return old;
  } catch {
    // Somebody else is sweeping, or the directory cannot be read.
    return [];
  }
}

async function removeAway(fs: FileSystem, from: string, away: string): Promise<boolean> {
  try {
    const { kind } = await fs.lstat(from);
    await fs.rename(from, away);
    if (kind === "directory") await removeTree(fs, away);
    else await fs.unlink(away);
    return true;
  } catch {
    return false;
  }
}
