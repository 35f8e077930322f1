/**
 * The guard of every path: real path, whole components, strictly below an allowed prefix. It holds by itself on a
 * runtime without a sandbox; where there is one, `system.sandbox` makes the runtime refuse as well.
 */
import type { Config, PodDefaults } from "./config.ts";
import { quoteShort } from "./entry_rules.ts";
import { CacheError, errnoOf, messageOf } from "./errors.ts";
import { isBelow } from "./paths.ts";
import type { FileSystem } from "./system.ts";

export interface PathRule {
  /** The variable or flag that named the path, for messages. */
  readonly setting: string;
  readonly prefixes: readonly string[];
  /** Paths that are accepted though they lie below no prefix: a setting's own default place. */
  readonly exactly?: readonly string[];
  /** A prefix itself will do. */
  readonly prefixItself?: "allowed";
}

/** The rules of the path settings, for one pod. */
export function pathRules(config: Config, pod: PodDefaults) {
  const operators = config.allowedPrefixes;
  const caches = ["/tmp", "/cache", `${pod.homeDir}/.cache`, "/bdn/cache", ...operators];
  return {
    torchCacheDir: {
      setting: "TORCHINDUCTOR_CACHE_DIR",
      prefixes: caches,
      exactly: [pod.torchCacheDir],
    },
    vllmCacheDir: { setting: "VLLM_CACHE_ROOT", prefixes: caches },
    /** Of the caches that have no setting of ours. */
    root: { setting: "--root", prefixes: caches },
    /** Of `export` and `import`. */
    transferFile: { setting: "FILE", prefixes: [...caches, "/app"] },
    storeDir: {
      setting: "B10FS_CACHE_DIR",
      prefixes: ["/cache", "/tmp", `${pod.homeDir}/.cache`, ...operators],
    },
    workDir: {
      setting: "LOCAL_WORK_DIR",
      prefixes: ["/app", "/tmp", "/cache", ...operators],
      prefixItself: "allowed",
    },
  } satisfies Record<string, PathRule>;
}

/**
 * The real path of `path`, which need not exist yet.
 * @throws {CacheError} `path_outside_prefix` where it lies below no prefix, once all symlinks are resolved.
 */
export async function confinePath(fs: FileSystem, path: string, rule: PathRule): Promise<string> {
  const real = await realPathOfAny(fs, path, rule.setting);
  for (const place of rule.exactly ?? []) {
    if (real === await realPathOfAllowed(fs, place)) return real;
  }
  for (const prefix of likelyFirst(rule.prefixes, path)) {
    const realPrefix = await realPathOfAllowed(fs, prefix);
    if (realPrefix === undefined) continue;
    if (isBelow(real, realPrefix) || (rule.prefixItself && real === realPrefix)) return real;
  }
  const shown = real === path ? quoteShort(path) : `${quoteShort(path)} (really ${quoteShort(real)})`;
  throw new CacheError(
    "path_outside_prefix",
    `Cannot use ${rule.setting} ${shown} as it must lie below ${rule.prefixes.join(", ")}; ` +
      "choose another directory, or add a prefix to B10_CACHE_ALLOWED_PREFIXES",
  );
}

/** The real paths of the places that a rule allows directories below. */
export async function realPrefixes(fs: FileSystem, { prefixes }: PathRule): Promise<readonly string[]> {
  const real = await Promise.all(prefixes.map((prefix) => realPathOfAllowed(fs, prefix)));
  return real.filter((prefix) => prefix !== undefined);
}

/** Most paths say what they lie below: then no other prefix is looked at, of which one may be a share that hangs. */
function likelyFirst(prefixes: readonly string[], path: string): string[] {
  const likely = prefixes.filter((prefix) => isBelow(path, prefix));
  return [...likely, ...prefixes.filter((prefix) => !likely.includes(prefix))];
}

/** @throws {CacheError} `paths_overlap` where one of two directories holds the other, or both are the same. */
export function refuseOverlap(
  a: { setting: string; path: string },
  b: { setting: string; path: string },
): void {
  if (a.path !== b.path && !isBelow(a.path, b.path) && !isBelow(b.path, a.path)) return;
  throw new CacheError(
    "paths_overlap",
    `Cannot use ${a.setting} "${a.path}" together with ${b.setting} "${b.path}" as neither may hold the other`,
  );
}

/**
 * @returns undefined where an allowed place cannot be resolved (a symlink to a volume that is not mounted, another
 * user's home directory): nothing lies below it, and the other places still count.
 */
async function realPathOfAllowed(fs: FileSystem, place: string): Promise<string | undefined> {
  try {
    return await realPathOfAny(fs, place, "the allowed prefix");
  } catch (error) {
    if (error instanceof CacheError) return undefined;
    throw error;
  }
}

/** Resolves the part of `path` that exists and appends the rest. */
async function realPathOfAny(fs: FileSystem, path: string, setting: string): Promise<string> {
  let resolved = await realPathIfThere(fs, path, setting);
  if (resolved === undefined && await isThere(fs, path)) {
    // Another pod may have made it between the two looks: only what twice leads nowhere leads nowhere.
    resolved = await realPathIfThere(fs, path, setting);
    if (resolved === undefined) {
      throw new CacheError(
        "path_outside_prefix",
        `Cannot use ${setting} "${path}" as it is, or leads through, a symlink to nowhere`,
      );
    }
  }
  if (resolved !== undefined) return resolved;
  const cut = path.lastIndexOf("/");
  const parent = await realPathOfAny(fs, path.slice(0, cut) || "/", setting);
  return `${parent === "/" ? "" : parent}${path.slice(cut)}`;
}

/** @returns undefined where it is not there, or leads through a symlink to nowhere. */
async function realPathIfThere(fs: FileSystem, path: string, setting: string): Promise<string | undefined> {
  try {
    return await fs.realPath(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return undefined;
    throw new CacheError(
      "path_outside_prefix",
      `Cannot use ${setting} "${path}" as it cannot be resolved: ${errno ?? messageOf(error)}`,
      { cause: error },
    );
  }
}

async function isThere(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await fs.lstat(path);
    return true;
  } catch {
    return false;
  }
}
