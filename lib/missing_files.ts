/** What a load has to restore: nothing local is ever overwritten. */
import { quoteShort } from "./entry_rules.ts";
import { errnoOf } from "./errors.ts";
import { localError } from "./local_error.ts";
import type { Operation } from "./operation.ts";
import type { FileSystem } from "./system.ts";

/** Where a file belongs on this pod. */
export interface Place {
  readonly root: string;
  /** Below the root. */
  readonly below: string;
}

/**
 * Those of `wanted` in whose place there is nothing. Whatever else is there, a directory or a symlink even, wins.
 * @throws {CacheError} `local_io`
 */
export async function missingFiles<T extends Place>(
  { system: { disk }, notice }: Pick<Operation, "system" | "notice">,
  wanted: readonly T[],
): Promise<T[]> {
  const listings = new Listings(disk);
  for (const root of new Set(wanted.map((target) => target.root))) await listings.look(root, root);
  const missing: T[] = [];
  for (const target of wanted) {
    if (listings.of(target.root)?.size === 0) {
      missing.push(target);
      continue;
    }
    const place = `${target.root}/${target.below}`;
    const cut = place.lastIndexOf("/");
    const directory = place.slice(0, cut);
    if (!listings.has(directory)) await listings.look(directory, target.root);
    const siblings = listings.of(directory);
    if (!siblings) {
      notice(`${quoteShort(place)} is left out: its directory is something else here`);
    } else if (!siblings.has(place.slice(cut + 1))) missing.push(target);
  }
  return missing;
}

/** Whether there is nothing in any of the directories, or they are not there. @throws {CacheError} `local_io` */
export async function areEmpty(fs: FileSystem, dirs: readonly string[]): Promise<boolean> {
  for (const dir of dirs) if ((await listDirectory(fs, dir)).length > 0) return false;
  return true;
}

/** The kinds of what lies in a directory, by name; undefined where something else than a directory is there. */
type Listing = ReadonlyMap<string, string> | undefined;

/** Lists each directory once. */
class Listings {
  readonly #fs: FileSystem;
  readonly #known = new Map<string, Listing>();

  constructor(fs: FileSystem) {
    this.#fs = fs;
  }

  /** One that was looked at. */
  of(dir: string): Listing {
    return this.#known.get(dir);
  }

  has(dir: string): boolean {
    return this.#known.has(dir);
  }

  async look(dir: string, root: string): Promise<void> {
    this.#known.set(dir, await this.#list(dir, root));
  }

  async #list(dir: string, root: string): Promise<Listing> {
    if (dir !== root) {
      const cut = dir.lastIndexOf("/");
      const above = dir.slice(0, cut);
      if (!this.has(above)) await this.look(above, root);
      const parent = this.of(above);
      const kind = parent?.get(dir.slice(cut + 1));
      if (!parent || (kind !== undefined && kind !== "directory")) return undefined;
      if (kind === undefined) return new Map();
    }
    return new Map((await listDirectory(this.#fs, dir)).map((entry) => [entry.name, entry.kind]));
  }
}

async function listDirectory(fs: FileSystem, dir: string) {
  try {
    return await fs.list(dir);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw localError("list", dir, error);
  }
}
