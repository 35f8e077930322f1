/** A share as one machine remembers it: what a network file system may show of the past. */
import type { FileSystem } from "../../lib/system.ts";
import { failure } from "../pods.ts";
import { type Answer } from "./faulty_files.ts";
import { storeDir } from "./layout.ts";
import { MemoryDisk, type Moment } from "./memory_disk.ts";
import type { Entries } from "./site.ts";

/** Answers a listing as it would have been at that moment. Marks are as they are: one not seen is one not left. */
export function asListedAt(fs: FileSystem, moment: Moment): Answer {
  const { files } = diskAt(moment);
  return ({ path }) => (path.endsWith("/marks") ? fs : files).list(path);
}

/** Every entry of a listing twice: a directory that changes while it is read may be told so. */
export function asListedTwice(fs: FileSystem): Answer {
  return async ({ path }) => {
    const entries = await fs.list(path);
    return [...entries, ...entries];
  };
}

/** Every directory of the store is listed by another. */
export function withListings(fs: FileSystem, list: Answer): FileSystem {
  const isStore = (path: string) => path.startsWith(`${storeDir}/`);
  return {
    ...fs,
    list: (path) =>
      isStore(path)
        ? list({ name: "list", args: [path], path }) as ReturnType<FileSystem["list"]>
        : fs.list(path),
  };
}

/** Nobody has asked for a name with a random number in it before it was there, and remembers that it was not. */
const randomName = /\/(layers|marks|incoming)\//;

/**
 * For its first looks at a name a process is told what was true at that moment: one that came since is not there, one
 * that went since is a handle that has become stale. What it makes itself it sees.
 * @param now what is there at first.
 */
export function withNamesOf(
  fs: FileSystem,
  { moment, now, looks }: { moment: Moment; now: Entries; looks: number },
): FileSystem {
  const then = diskAt(moment).entries();
  const counts = new Map<string, number>();
  const look = (path: string) => {
    if (!path.startsWith(`${storeDir}/`) || now.has(path) === then.has(path)) return;
    if (now.has(path) && randomName.test(path)) return;
    const count = (counts.get(path) ?? 0) + 1;
    counts.set(path, count);
    if (count <= looks) throw failure(now.has(path) ? "ENOENT" : "ESTALE");
  };
  return {
    ...fs,
    open: async (path, mode) => {
      if (mode === "r") look(path);
      return await fs.open(path, mode);
    },
    stat: async (path) => {
      look(path);
      return await fs.stat(path);
    },
    lstat: async (path) => {
      look(path);
      return await fs.lstat(path);
    },
  };
}

function diskAt(moment: Moment): MemoryDisk {
  const disk = new MemoryDisk(moment.nowMs);
  disk.restore(moment);
  return disk;
}
