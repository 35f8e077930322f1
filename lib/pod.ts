/**
 * Getting a pod ready for an operation, in the one order that is safe: settings, roots (pod_roots.ts), store, facts about
 * the pod, directories, fence (fence.ts). Each step is a function; a command takes those that it needs.
 */
import {
  type Config,
  type FlagValues,
  type PodDefaults,
  readSettings,
  type Settings,
  usesEmbeddedStore,
} from "./config.ts";
import { confinePath, pathRules } from "./confine.ts";
import { detectEnvironment, type EnvironmentReport } from "./environment.ts";
import { CacheError, errnoOf } from "./errors.ts";
import { unsaid } from "./fence.ts";
import { type CacheKey, computeKey, parseKey } from "./key.ts";
import { localPodDefaults, podDefaults } from "./pod_defaults.ts";
import { fileSystemTypeOf, isUnknownFuse } from "./file_system_types.ts";
import type { CacheRoot } from "./roots.ts";
import type { FileSystem, System } from "./system.ts";
import { localError } from "./local_error.ts";

export interface ResolvedSettings extends Settings {
  readonly pod: PodDefaults;
  /** The store lies on this pod, as no shared one is there. */
  readonly embeddedStore: boolean;
}

export async function resolveSettings(system: System, flags: FlagValues): Promise<ResolvedSettings> {
  const pod = await podDefaults(system);
  const settings = readSettings({ flags, env: system.env, pod });
  return {
    ...settings,
    notices: unsaid(system, settings.notices),
    pod,
    embeddedStore: usesEmbeddedStore(settings.config, settings.sources, pod),
  };
}

/** The settings of a parent, which never touches the share: good for everything but the place of the store. */
export async function resolveLocalSettings(system: System, flags: FlagValues): Promise<ResolvedSettings> {
  const pod = await localPodDefaults(system);
  return { ...readSettings({ flags, env: system.env, pod }), pod, embeddedStore: false };
}

export async function resolveParentSettings(system: System, flags: FlagValues): Promise<Config> {
  return (await resolveLocalSettings(system, flags)).config;
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
  // Inside the fence this process has found it there, a moment ago.
  if (!embeddedStore && !system.sandbox.isInside) await requireParent(system.fs, dir);
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

export interface Identity extends EnvironmentReport {
  readonly key: CacheKey;
}

/** What this pod is, and the key that follows from it. @param forCommand the first word of `run`'s COMMAND, whose Python decides. */
export async function identify(
  system: System,
  { config }: ResolvedSettings,
  forCommand?: string,
): Promise<Identity> {
  // Python lies on this pod's own disk.
  const report = await detectEnvironment({ ...system, fs: system.disk }, {
    ...(config.python === null ? {} : { python: config.python }),
    ...(forCommand === undefined ? {} : { command: [forCommand] }),
  });
  const key = config.pinnedKey === null
    ? computeKey(config.namespace, report.environment)
    : parseKey(config.pinnedKey, "B10_CACHE_KEY");
  return { ...report, notices: unsaid(system, report.notices), key };
}

/** New directories on the pod are like those that torch makes: for all to read, for their owner to write. */
const newDirectoryMode = 0o755;

/**
 * Creates the roots that are not there, so that they can be fenced in.
 * @returns every directory that it made, outermost first.
 * @throws {CacheError} `local_io`
 */
export async function createRoots(system: System, roots: readonly CacheRoot[]): Promise<readonly string[]> {
  const made: string[] = [];
  for (const { dir } of roots) made.push(...await createLocalDirectory(system.fs, dir));
  return made;
}

/** Removes again what was made for an operation that put nothing there. Best effort: an empty directory is no harm. */
export async function removeEmptyDirectories(system: System, made: readonly string[]): Promise<void> {
  for (const dir of [...made].reverse()) {
    try {
      await system.fs.rmdir(dir);
    } catch {
      // Something is in it by now.
    }
  }
}

/** Creates the store's directory: the last component alone in a share, all of them for the embedded store. */
export async function createStoreDir(
  system: System,
  dir: string,
  { embeddedStore }: ResolvedSettings,
): Promise<void> {
  if (embeddedStore) {
    await createLocalDirectory(system.fs, dir);
    return;
  }
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

/** @returns the directories that it made, outermost first: none where something has its name already. */
async function createLocalDirectory(fs: FileSystem, dir: string): Promise<string[]> {
  try {
    await fs.mkdir(dir, newDirectoryMode);
    return [dir];
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return [];
    if (errno !== "ENOENT") throw localError("make the directory", dir, error);
    return [...await createLocalDirectory(fs, parentOf(dir)), ...await createLocalDirectory(fs, dir)];
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

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
