/** Whether this pod's disk holds what is about to be restored. */
import type { Config } from "./config.ts";
import { CacheError } from "./errors.ts";
import { localError } from "./local_error.ts";
import type { FileSystem } from "./system.ts";

const bytesPerMb = 1024 * 1024;

/** What the restored files take, and what the user asked to be kept free for them if that is more. */
export function neededBytes(config: Config, { raw, stored }: { raw: number; stored: number }): number {
  return Math.max(
    raw,
    (config.minLocalSpaceMb ?? 0) * bytesPerMb,
    (config.localSpaceMultiplier ?? 0) * stored,
  );
}

/** @throws {CacheError} `no_space` where `dir` has less than `neededBytes` free. */
export async function requireSpace(fs: FileSystem, dir: string, neededBytes: number): Promise<void> {
  const free = await freeBytes(fs, dir);
  if (free >= neededBytes) return;
  throw new CacheError(
    "no_space",
    `Cannot restore into "${dir}" as ${neededBytes} bytes are needed there and ${free} are free`,
  );
}

async function freeBytes(fs: FileSystem, dir: string): Promise<number> {
  try {
    return await fs.freeBytes(dir);
  } catch (error) {
    throw localError("ask for the free space of", dir, error);
  }
}
