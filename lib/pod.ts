/**
 * Getting a pod ready for an operation, in the one order that is safe: settings, facts about the pod, directories,
 * fence. Each step is a function; a command takes those that it needs.
 */
import {
  type Config,
  type FlagValues,
  type PodDefaults,
  readSettings,
  type Settings,
  usesEmbeddedStore,
} from "./config.ts";
import { confinePath, pathRules, refuseOverlap } from "./confine.ts";
import { detectEnvironment, type EnvironmentReport } from "./environment.ts";
import { CacheError, errnoOf } from "./errors.ts";
import { type CacheKey, computeKey, parseKey } from "./key.ts";
import { localPodDefaults, podDefaults } from "./pod_defaults.ts";
import { fileSystemTypeOf, isUnknownFuse } from "./file_system_types.ts";
import type { CacheRoot } from "./roots.ts";
import type { Fence, FileSystem, System } from "./system.ts";
import { localError } from "./local_error.ts";

export interface ResolvedSettings extends Settings {
  readonly pod: PodDefaults;
  /** The store lies on this pod, as no shared one is there. */
  readonly embeddedStore: boolean;
}

export async function resolveSettings(system: System, flags: FlagValues): Promise<ResolvedSettings> {
  const pod = await podDefaults(system);
  const settings = readSettings({ flags, env: system.env, pod });
  return { ...settings, pod, embeddedStore: usesEmbeddedStore(settings.config, settings.sources, pod) };
}

/** The settings of a parent, which never touches the share: good for everything but the place of the store. */
export async function resolveParentSettings(system: System, flags: FlagValues): Promise<Config> {
  return readSettings({ flags, env: system.env, pod: await localPodDefaults(system) }).config;
}

/** Which of the pod's caches an operation is about. */
export type RootSelection = "torch" | "vllm";

/** The roots with their real paths. @throws {CacheError} `path_outside_prefix` */
export async function confineRoots(
  system: System,
  { config, pod }: ResolvedSettings,
  selection: RootSelection,
): Promise<CacheRoot[]> {
  const rules = pathRules(config, pod);
  switch (selection) {
    case "torch":
      return [{
        name: "inductor",
        dir: await confinePath(system.fs, config.torchCacheDir, rules.torchCacheDir),
      }];
    case "vllm":
      return [{ name: "vllm", dir: await confinePath(system.fs, config.vllmCacheDir, rules.vllmCacheDir) }];
  }
  return selection satisfies never;
}

/**
 * The real path of the store's directory, which is in use from here on.
 * @throws {CacheError} `disabled`, `path_outside_prefix`, `store_not_mounted`
 */
export async function confineStore(system: System, settings: ResolvedSettings): Promise<string> {
  const { config, pod, embeddedStore } = settings;
  if (!config.sharedCacheEnabled) {
    throw new CacheError("disabled", "The shared cache is switched off: BASETEN_FS_ENABLED is 0");
  }
  // The pod's own state has its own rule, which is checked with the rest.
  await confinePath(system.fs, config.workDir, pathRules(config, pod).workDir);
  const dir = await confineStorePath(system, settings);
  if (!embeddedStore) await requireParent(system.fs, dir);
  return dir;
}

/** Where the store would lie, whether it is in use or not. @throws {CacheError} `path_outside_prefix` */
export function confineStorePath(system: System, { config, pod }: ResolvedSettings): Promise<string> {
  return confinePath(system.fs, config.storeDir, pathRules(config, pod).storeDir);
}

/** A share that is not mounted is an error, not a fresh directory on the root disk. */
async function requireParent(fs: FileSystem, dir: string): Promise<void> {
  const parent = parentOf(dir);
  try {
    if ((await fs.stat(parent)).kind === "directory") return;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "ENOENT" && errno !== "ENOTDIR") {
      throw storeNotThere(dir, `"${parent}" cannot be looked at`, error);
    }
  }
  throw storeNotThere(dir, `"${parent}" is not there`);
}

function storeNotThere(dir: string, problem: string, cause?: unknown): CacheError {
  return new CacheError(
    "store_not_mounted",
    `Cannot use B10FS_CACHE_DIR "${dir}" as ${problem}; mount the shared volume, or set B10FS_CACHE_DIR to where it is`,
    { cause },
  );
}

/** @throws {CacheError} `paths_overlap` where a cache would hold the store, or the store a cache. */
export function refuseStoreInRoots(roots: readonly CacheRoot[], storeDir: string): void {
  for (const root of roots) {
    refuseOverlap({ setting: `the ${root.name} cache`, path: root.dir }, {
      setting: "B10FS_CACHE_DIR",
      path: storeDir,
    });
  }
}

export interface Identity extends EnvironmentReport {
  readonly key: CacheKey;
}

/** What this pod is, and the key that follows from it. @param command `run`'s, whose Python decides. */
export async function identify(
  system: System,
  { config }: ResolvedSettings,
  command?: readonly string[],
): Promise<Identity> {
  const report = await detectEnvironment(system, {
    ...(config.python === null ? {} : { python: config.python }),
    ...(command === undefined ? {} : { command }),
  });
  const key = config.pinnedKey === null
    ? computeKey(config.namespace, report.environment)
    : parseKey(config.pinnedKey, "B10_CACHE_KEY");
  return { ...report, key };
}

/** New directories on the pod are like those that torch makes: for all to read, for their owner to write. */
const newDirectoryMode = 0o755;

/** Creates the roots that are not there, so that they can be fenced in. @throws {CacheError} `local_io` */
export async function createRoots(system: System, roots: readonly CacheRoot[]): Promise<void> {
  for (const { dir } of roots) await createLocalDirectory(system.fs, dir);
}

/** Creates the store's directory: the last component alone in a share, all of them for the embedded store. */
export async function createStoreDir(
  system: System,
  dir: string,
  { embeddedStore }: ResolvedSettings,
): Promise<void> {
  if (embeddedStore) return await createLocalDirectory(system.fs, dir);
  try {
    const { mode } = await system.fs.stat(parentOf(dir));
    await system.fs.mkdir(dir, (mode & 0o775) | 0o700);
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return;
    throw new CacheError("store_io", `Cannot make the store's directory "${dir}": ${errnoOf(error) ?? "?"}`, {
      cause: error,
    });
  }
}

async function createLocalDirectory(fs: FileSystem, dir: string): Promise<void> {
  try {
    await fs.mkdir(dir, newDirectoryMode);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return;
    if (errno !== "ENOENT") throw localError("make the directory", dir, error);
    await createLocalDirectory(fs, parentOf(dir));
    await createLocalDirectory(fs, dir);
  }
}

/**
 * Writing to a store takes a file system on which two machines exclude each other.
 * @throws {CacheError} `store_unsupported` for a FUSE type of which that is not known, unless the operator vouches for it.
 */
export function requireKnownFileSystem(
  { host }: System,
  storeDir: string,
  { config, embeddedStore }: ResolvedSettings,
): void {
  if (embeddedStore) return;
  const mountinfo = host.kernelFile("/proc/self/mountinfo");
  const type = mountinfo === undefined ? undefined : fileSystemTypeOf(mountinfo, storeDir);
  if (type === undefined || !isUnknownFuse(type, config.vouchedFileSystems)) return;
  throw new CacheError(
    "store_unsupported",
    `Cannot write to "${storeDir}" as it lies on a file system of type "${type}", of which it is not known whether ` +
      "link(2) and rename(2) on one machine exclude those on another; loading works. If they do (docs/protocol.md " +
      `says what is asked of a file system), set B10_CACHE_VOUCHED_FILE_SYSTEMS=${type}`,
  );
}

/**
 * From here on the process reaches these directories alone. Real paths: a prefix that is itself a symlink would
 * otherwise be refused by the runtime.
 * @throws {CacheError} `confinement` where the runtime has a fence and it cannot be put up.
 */
export async function putUpFence(system: System, dirs: readonly string[]): Promise<Fence> {
  try {
    return await system.sandbox.narrow(dirs);
  } catch (cause) {
    throw new CacheError(
      "confinement",
      `Cannot confine the program to ${dirs.join(", ")}: ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      { cause },
    );
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
