/** The command `clear`: empties this pod's cache directory, and leaves the directory itself. */
import { localError } from "../local_error.ts";
import { cacheTagName, cacheTagSignature, type TopEntry, whyNotCleared } from "../clear_guard.ts";
import { pathRules, realPrefixes } from "../confine.ts";
import { CacheError, errnoOf } from "../errors.ts";
import { putUpFence } from "../fence.ts";
import { openLocalFile } from "../local_file.ts";
import { confineStorePath, type ResolvedSettings, resolveSettings } from "../pod.ts";
import { confineRoots, refuseStoreInRoots } from "../pod_roots.ts";
import type { CacheRoot } from "../roots.ts";
import type { DirectoryEntry, FileSystem, System } from "../system.ts";
import { stateDir } from "../state_dir.ts";
import { PodState } from "../pod_state.ts";
import { removeContents } from "../remove_tree.ts";
import { reportError } from "../status.ts";
import { countOf, quote } from "../text.ts";
import { type CommandContext, type CommonFlags, finish } from "./context.ts";
import { rootChoice, type RootFlags } from "./root_choice.ts";

export async function clearCommand(
  context: CommandContext,
  flags: CommonFlags & RootFlags,
): Promise<number> {
  const { system } = context;
  const { selection, extra } = rootChoice(flags);
  const startedMs = system.clock.monotonicMs();
  const elapsedMs = () => system.clock.monotonicMs() - startedMs;
  try {
    const settings = await resolveSettings(system, context.flagValues);
    const roots = await confineRoots(system, settings, selection, { extra });
    refuseStoreInRoots(roots, await confineStorePath(system, settings));
    await refuseWhatIsNoCache(system, settings, roots);
    const state = await stateDir(system, settings, { roots, create: false });
    await putUpFence(system, [
      ...roots.map((root) => root.dir),
      ...(state.dir === undefined ? [] : [state.dir]),
    ]);
    // First: what is compiled anew must not pass for what was restored.
    if (state.dir !== undefined) await new PodState(system, state.dir).forget();
    let files = 0;
    for (const { dir } of roots) files += await emptyDirectory(context, dir);
    const where = roots.map((root) => root.dir).join(", ");
    return finish(context, {
      operation: "clear",
      status: files > 0 ? "SUCCESS" : "SKIPPED",
      files,
      elapsed_ms: Math.round(elapsedMs()),
      message: files > 0 ? `removed ${countOf(files, "file")} from ${where}` : `there is nothing in ${where}`,
    });
  } catch (error) {
    return finish(context, reportError(error, { operation: "clear", elapsedMs: elapsedMs() }));
  }
}

/** All of them are looked at before anything is removed. @throws {CacheError} `not_a_cache` */
async function refuseWhatIsNoCache(
  system: System,
  { config, pod }: ResolvedSettings,
  roots: readonly CacheRoot[],
): Promise<void> {
  const prefixes = await realPrefixes(system.fs, pathRules(config, pod).root);
  const mountinfo = system.host.kernelFile("/proc/self/mountinfo");
  for (const { name, dir } of roots) {
    const entries = await entriesOf(system, dir);
    const isTagged = entries.some((entry) => entry.name === cacheTagName) && await isCacheTag(system, dir);
    const why = whyNotCleared({ name, dir, entries, isTagged }, { prefixes, mountinfo });
    if (why === undefined) continue;
    throw new CacheError(
      "not_a_cache",
      `Cannot empty the ${name} cache ${quote(dir)} as ${why}; remove by hand what is to go`,
    );
  }
}

/** A directory that is not there, or that somebody else has just removed, is an empty one. */
async function entriesOf({ fs }: System, dir: string): Promise<readonly TopEntry[]> {
  try {
    const entries: TopEntry[] = [];
    for (const { name, kind } of await listOf(fs, dir)) {
      if (kind !== "directory") entries.push({ name });
      else entries.push({ name, inside: (await listOf(fs, `${dir}/${name}`)).map((inner) => inner.name) });
    }
    return entries;
  } catch (error) {
    throw localError("empty", dir, error);
  }
}

async function listOf(fs: FileSystem, dir: string): Promise<readonly DirectoryEntry[]> {
  try {
    return await fs.list(dir);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** The name alone is not enough, says the specification. */
async function isCacheTag({ fs }: System, dir: string): Promise<boolean> {
  await using file = await openLocalFile(fs, `${dir}/${cacheTagName}`);
  const beginning = await file.read(0, Math.min(file.bytes, cacheTagSignature.length));
  return new TextDecoder().decode(beginning) === cacheTagSignature;
}

async function emptyDirectory(context: CommandContext, dir: string): Promise<number> {
  try {
    return await removeContents(context.system.fs, dir, { keep: cacheTagName });
  } catch (error) {
    throw localError("empty", dir, error);
  }
}
