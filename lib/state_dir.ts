/** Where a pod's own state is kept. */
import { confinePath, pathRules } from "./confine.ts";
import { errnoOf } from "./errors.ts";
import type { ResolvedSettings } from "./pod.ts";
import { type CacheRoot, primaryRoot } from "./roots.ts";
import type { FileSystem, System } from "./system.ts";

/** In LOCAL_WORK_DIR, or beside one of the caches. */
const stateDirName = ".b10-compile-cache";
const stateDirSuffix = ".b10-state";

/** Nobody else may read or write what decides over what this pod saves. */
const stateDirMode = 0o700;

export interface StatePlace {
  /** undefined where neither place can be used. */
  readonly dir: string | undefined;
  /** Why it is not below LOCAL_WORK_DIR, if it is not. */
  readonly notice: string | undefined;
  /** Why a rollback of the store passes unnoticed where signatures are demanded; undefined where it does not. */
  readonly missedRollback: string | undefined;
}

/**
 * Where this pod's own state is kept: below LOCAL_WORK_DIR, or where that is absent or not writable in a private
 * directory beside the cache. @param create makes it, if it is not there.
 */
export async function stateDir(
  system: System,
  { config, pod }: ResolvedSettings,
  { roots, create }: { roots: readonly CacheRoot[]; create: boolean },
): Promise<StatePlace> {
  const workDir = await confinePath(system.fs, config.workDir, pathRules(config, pod).workDir);
  const preferred = `${workDir}/${stateDirName}`;
  const problem = await privateDirProblem(system, preferred, create);
  if (problem === undefined) return { dir: preferred, notice: undefined, missedRollback: undefined };
  const beside = `${primaryRoot(roots)?.dir}${stateDirSuffix}`;
  const why = `LOCAL_WORK_DIR ${JSON.stringify(workDir)} cannot hold this pod's state (${problem})`;
  const second = await privateDirProblem(system, beside, create);
  if (second === undefined) {
    const notice = `${why}, so it is kept in ${JSON.stringify(beside)}`;
    return { dir: beside, notice, missedRollback: undefined };
  }
  const notice = `${why}, and neither can ${JSON.stringify(beside)} (${second}), so none is kept`;
  const mayBeMade = !create &&
    (second === "ENOENT" || (problem === "ENOENT" && await isThere(system.fs, workDir)));
  const missedRollback = mayBeMade
    ? "nothing that was seen is kept on this pod yet: the next load or save begins to"
    : `${notice}; make LOCAL_WORK_DIR a directory that this user alone can write to`;
  return { dir: undefined, notice, missedRollback };
}

async function isThere(fs: FileSystem, dir: string): Promise<boolean> {
  try {
    await fs.lstat(dir);
    return true;
  } catch {
    return false;
  }
}

/** @returns what keeps a directory from being this user's alone, if anything does. */
async function privateDirProblem(
  { fs, host }: System,
  dir: string,
  create: boolean,
): Promise<string | undefined> {
  try {
    if (create) await makePrivateDir(fs, dir);
    const { kind, uid, mode } = await fs.lstat(dir);
    if (kind !== "directory") return "something else has its name";
    return uid === host.uid && (mode & 0o077) === 0 ? undefined : "it is not private to this user";
  } catch (error) {
    return errnoOf(error) ?? "?";
  }
}

async function makePrivateDir(fs: FileSystem, dir: string): Promise<void> {
  try {
    await fs.mkdir(dir, stateDirMode);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}
