/** A pod of the stress: directories of its own, one cache of the shared store. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Journal } from "./journal.ts";
import { commonSettings } from "./settings.ts";

/** One of the caches that share the store. */
export interface Cache {
  readonly key: string;
  readonly journal: Journal;
}

export interface Place {
  /** For the pods' own directories. */
  readonly base: string;
  /** B10FS_CACHE_DIR of all of them. */
  readonly storeDir: string;
}

export interface Pod {
  readonly name: string;
  readonly cache: Cache;
  readonly dir: string;
  readonly torchDir: string;
  readonly workDir: string;
  readonly settings: Readonly<Record<string, string>>;
  /** What it wrote itself and may not find changed: path to line (see ../snapshot.ts). */
  readonly own: Map<string, string>;
  /** Loads that were killed, each of which may have left a staging directory. */
  killedLoads: number;
}

/** Makes the directories of a new pod. @param more settings win over those that every pod has. */
export function makePod(
  { base, storeDir }: Place,
  name: string,
  cache: Cache,
  more: Readonly<Record<string, string>> = {},
): Pod {
  const dir = path.join(base, "pods", name);
  const home = path.join(dir, "home");
  const torchDir = path.join(dir, "torchinductor");
  const workDir = path.join(dir, "work");
  for (const made of [home, torchDir, workDir]) fs.mkdirSync(made, { recursive: true });
  const settings = {
    ...commonSettings,
    // The key is pinned, so that there is no Python to ask.
    PATH: home,
    B10_CACHE_KEY: cache.key,
    HOME: home,
    TORCHINDUCTOR_CACHE_DIR: torchDir,
    LOCAL_WORK_DIR: workDir,
    B10FS_CACHE_DIR: storeDir,
    B10_CACHE_ALLOWED_PREFIXES: `${base}:${path.dirname(storeDir)}`,
    ...more,
  };
  return { name, cache, dir, torchDir, workDir, settings, own: new Map(), killedLoads: 0 };
}

export function removePod({ dir }: Pod): void {
  fs.rmSync(dir, { recursive: true });
}

/** There is something in the place of this path, or in a directory's above it. */
export function hasPath({ torchDir }: Pod, name: string): boolean {
  try {
    fs.lstatSync(path.join(torchDir, name));
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOTDIR";
  }
}
