/** The caches of a pod: which an operation is about, and where they really are. */
import { confinePath, type PathRule, pathRules, refuseOverlap } from "./confine.ts";
import { CacheError } from "./errors.ts";
import { unsaid } from "./fence.ts";
import { isBelow } from "./paths.ts";
import type { ResolvedSettings } from "./pod.ts";
import { findRootPlaces, type RootPlace } from "./root_places.ts";
import type { CacheRoot } from "./roots.ts";
import type { System } from "./system.ts";

/** Which of the pod's caches an operation is about: torch's, vLLM's, or every one that is known. */
export type RootSelection = "torch" | "vllm" | "all";

export interface RootOptions {
  /** Those of `--root`. */
  readonly extra?: readonly RootPlace[];
  /** Is told what is left out. */
  readonly notice?: (text: string) => void;
}

/**
 * The roots with their real paths. vLLM's comes last: what it indexes lies in the others.
 * @throws {CacheError} `path_outside_prefix` for one that a setting or an option of ours names. What another program's
 * variable names is left out instead, with a notice.
 */
export async function confineRoots(
  system: System,
  settings: ResolvedSettings,
  selection: RootSelection,
  { extra = [], notice = () => {} }: RootOptions = {},
): Promise<CacheRoot[]> {
  const named = await Promise.all(extra.map((place) => confineRoot(system, settings, place)));
  const own = await ownRoots(system, settings, selection);
  const say = (text: string) => unsaid(system, [text]).forEach(notice);
  const others = selection === "all" ? await otherRoots(system, settings, say) : [];
  const names = new Set(named.map(({ name }) => name));
  return withoutNested([...named, ...[...others, ...own].filter(({ name }) => !names.has(name))], say);
}

async function ownRoots(
  system: System,
  { config, pod }: ResolvedSettings,
  selection: RootSelection,
): Promise<CacheRoot[]> {
  const rules = pathRules(config, pod);
  const confined = async (name: string, path: string, rule: PathRule): Promise<CacheRoot> => ({
    name,
    dir: await confinePath(system.fs, path, rule),
    path,
  });
  const inductor = () => confined("inductor", config.torchCacheDir, rules.torchCacheDir);
  const vllm = () => confined("vllm", config.vllmCacheDir, rules.vllmCacheDir);
  switch (selection) {
    case "torch":
      return [await inductor()];
    case "vllm":
      return [await vllm()];
    case "all":
      return [await inductor(), await vllm()];
  }
  return selection satisfies never;
}

async function otherRoots(
  system: System,
  settings: ResolvedSettings,
  notice: (text: string) => void,
): Promise<CacheRoot[]> {
  const found = findRootPlaces({ homeDir: settings.pod.homeDir, env: system.env });
  for (const text of found.notices) notice(text);
  const roots: CacheRoot[] = [];
  for (const place of found.places) {
    try {
      roots.push(await confineRoot(system, settings, place));
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      notice(`the ${place.name} cache is left out: ${error.message}`);
    }
  }
  return roots;
}

async function confineRoot(
  { fs }: System,
  { config, pod }: ResolvedSettings,
  { name, path, source, isDefault }: RootPlace,
): Promise<CacheRoot> {
  const { prefixes } = pathRules(config, pod).root;
  const rule = { setting: source, prefixes, ...(isDefault ? { exactly: [path] } : {}) };
  return { name, dir: await confinePath(fs, path, rule), path };
}

/** A cache that lies in another one is a part of that. */
function withoutNested(roots: readonly CacheRoot[], notice: (text: string) => void): CacheRoot[] {
  return roots.filter((root, at) => {
    const outer = roots.find((other, otherAt) =>
      other !== root && (isBelow(root.dir, other.dir) || (root.dir === other.dir && otherAt < at))
    );
    if (outer) {
      notice(`the ${root.name} cache lies in the ${outer.name} cache, ${outer.dir}, and is a part of it`);
    }
    return !outer;
  });
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
