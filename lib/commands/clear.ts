/** The command `clear`: empties this pod's cache directory, and leaves the directory itself. */
import { localError } from "../local_error.ts";
import { whyNotCleared } from "../clear_guard.ts";
import { pathRules, realPrefixes } from "../confine.ts";
import { CacheError, errnoOf } from "../errors.ts";
import { putUpFence } from "../fence.ts";
import { confineStorePath, type ResolvedSettings, resolveSettings } from "../pod.ts";
import { confineRoots, refuseStoreInRoots } from "../pod_roots.ts";
import type { CacheRoot } from "../roots.ts";
import type { System } from "../system.ts";
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
    const why = whyNotCleared({ name, dir, entries }, { prefixes, mountinfo });
    if (why === undefined) continue;
    throw new CacheError(
      "not_a_cache",
      `Cannot empty the ${name} cache ${quote(dir)} as ${why}; remove by hand what is to go`,
    );
  }
}

async function entriesOf({ fs }: System, dir: string): Promise<readonly string[]> {
  try {
    return (await fs.list(dir)).map((entry) => entry.name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw localError("empty", dir, error);
  }
}

async function emptyDirectory(context: CommandContext, dir: string): Promise<number> {
  try {
    return await removeContents(context.system.fs, dir);
  } catch (error) {
    throw localError("empty", dir, error);
  }
}
