/** Load: what the store has of this key and the pod has not, restored all or nothing. */
import { deadStagingMs } from "./ages.ts";
import { framesFor, type PlannedFile, splitRoot, unpackLayer } from "./archive.ts";
import { CacheError, isBadLayer, messageOf } from "./errors.ts";
import {
  type History,
  lookAt,
  maxPassedOver,
  readGeneration,
  refuseBurnedHistory,
  refusePassedOver,
  refuseStaleView,
  refuseUntrustedHistory,
  type Untrusted,
} from "./history.ts";
import { type OpenLayers, openLayers } from "./layers.ts";
import { contentId, type Generation, type Manifest } from "./manifest.ts";
import { markBadLayer } from "./marks.ts";
import type { NativeLoadOutcome, Operation } from "./operation.ts";
import type { RestoredFile } from "./restored_record.ts";
import { neededBytes, requireSpace } from "./local_space.ts";
import { areEmpty, missingFiles } from "./missing_files.ts";
import { type House, movingHouse } from "./moving_house.ts";
import { checkRollback } from "./rollback.ts";
import { readSuspects } from "./suspects.ts";
import { Staging, sweepStagings } from "./staging.ts";
import type { Store } from "./store.ts";
import type { FileVersion } from "./system.ts";

/** How often a load begins again where the history moved on while it tried. */
const maxLooks = 3;

/**
 * Restores the newest generation that can be loaded. Nothing local is ever overwritten; SKIPPED is said only after
 * every path was compared, so that a load that was interrupted is completed by the next one.
 * @param store undefined where there is none yet.
 * @throws {CacheError} with the roots as they were.
 */
export async function load(operation: Operation, store: Store | undefined): Promise<NativeLoadOutcome> {
  if (!store) return { status: "DOES_NOT_EXIST", reason: "nothing has been saved in this store yet" };
  const { system } = operation;
  for (const { dir } of operation.roots) {
    await sweepStagings(system, dir, deadStagingMs(operation.config));
  }
  for (let look = 1;; look++) {
    // At once: a load costs no round trip more for it.
    const [history, suspects] = await Promise.all([
      lookAt(store, operation.key),
      readSuspects(store, operation.key, operation.state),
    ]);
    try {
      const outcome = await loadNewest(operation, store, { history, suspects, isLastLook: look >= maxLooks });
      if (outcome !== "overtaken") return outcome;
      if (look >= maxLooks) refuseStaleView(operation.key, history.numbers);
    } catch (error) {
      if (look >= maxLooks || !isBadLayer(error)) throw error;
      // A prune may have removed what was superseded meanwhile: then there is something newer.
      if ((await lookAt(store, operation.key)).next === history.next) throw error;
    }
  }
}

/**
 * @returns "overtaken" where the newest of what was listed is gone: a prune removes what was superseded, and never the
 * newest. At the last look an older one will do, if there is one: it is whole as well.
 */
async function loadNewest(
  operation: Operation,
  store: Store,
  { history: { numbers }, suspects, isLastLook }: {
    history: History;
    suspects: ReadonlySet<string>;
    isLastLook: boolean;
  },
): Promise<NativeLoadOutcome | "overtaken"> {
  const burned: { n: number; problem: string }[] = [];
  const untrusted: Untrusted[] = [];
  let isNewest = true;
  let failure: CacheError | undefined;
  let gone = 0;
  for (const [at, n] of numbers.entries()) {
    if (at >= maxPassedOver) refusePassedOver(operation.key, numbers);
    const read = await readGeneration(store, operation.key, n);
    if (read.kind === "gone") {
      if (at === 0 && !isLastLook) return "overtaken";
      gone++;
      continue;
    }
    if (read.kind === "burned") {
      burned.push(read);
      operation.notice(`generation ${n} is not valid: ${read.problem}`);
      continue;
    }
    if (read.kind === "untrusted") {
      untrusted.push(read);
      operation.notice(`generation ${n} is not trusted: ${read.problem}`);
      continue;
    }
    if (isNewest && await checkRollback(operation, store, n) === "stale") return "overtaken";
    isNewest = false;
    // Whatever is older has what it was made of.
    if (suspects.has(contentId(read.generation.manifest))) return suspectOutcome(read.generation);
    try {
      return await loadGeneration(operation, store, read.generation);
    } catch (error) {
      if (!isBadLayer(error)) throw error;
      failure ??= error;
      operation.notice(`generation ${n} cannot be loaded: ${messageOf(error)}`);
      if (error.layer !== undefined) await markBadLayer(store, operation.key, error.layer);
    }
  }
  if (failure) throw failure;
  if (isNewest && await checkRollback(operation, store, 0) === "stale") return "overtaken";
  if (untrusted.length > 0) refuseUntrustedHistory(operation.key, untrusted);
  if (burned.length > 0) refuseBurnedHistory(operation.key, burned);
  if (gone > 0) return "overtaken";
  return { status: "DOES_NOT_EXIST", reason: "no cache was saved for this environment" };
}

function suspectOutcome({ manifest }: Generation): NativeLoadOutcome {
  return {
    status: "DOES_NOT_EXIST",
    reason: `generation ${manifest.n} is suspect: after a restore of it a server died before it was ready; ` +
      "it is not restored again until a newer one is saved",
    suspect: contentId(manifest),
  };
}

async function loadGeneration(
  operation: Operation,
  store: Store,
  generation: Generation,
): Promise<NativeLoadOutcome> {
  const { n, layers: named, cold_start: coldStartS } = generation.manifest;
  const about = { content: contentId(generation.manifest), coldStartS };
  if (named.length === 0) {
    return { status: "DOES_NOT_EXIST", reason: "the cache of this environment was evicted" };
  }
  const framesAhead = await restoresAll(operation, generation.manifest)
    ? framesFor(operation.config.loadMemoryMb)
    : 0;
  await using layers = await openLayers(store, operation.key, generation.manifest, framesAhead);
  const wanted = filesOfRoots(operation, layers);
  if (wanted.length === 0) {
    return { status: "DOES_NOT_EXIST", reason: "the cache holds nothing for these directories" };
  }
  const house = movingHouse(operation, generation.manifest);
  const missing = await missingFiles(operation, house.reachable(wanted));
  if (missing.length === 0) {
    return {
      status: "SKIPPED",
      generation: n,
      about,
      reason: "everything in the cache is already on this pod",
    };
  }
  const restored = await restore(operation, { layers, house }, missing);
  await noteRestored(operation, store, restored);
  await store.noteUse(operation.key);
  return {
    status: "SUCCESS",
    generation: n,
    about,
    totals: {
      files: missing.length,
      bytes: sizeOf(missing),
      storedBytes: generation.manifest.layers.reduce((sum, layer) => sum + layer.bytes, 0),
    },
  };
}

/** This pod has nothing yet, and a place for whatever the generation has. */
async function restoresAll({ roots, system }: Operation, manifest: Manifest): Promise<boolean> {
  const names = new Set(roots.map(({ name }) => name));
  return Object.keys(manifest.roots).every((name) => names.has(name)) &&
    await areEmpty(system.disk, roots.map(({ dir }) => dir));
}

/** A file of the plan, with the place that it has on this pod. */
interface Target {
  readonly planned: PlannedFile;
  readonly root: string;
  /** Below the root. */
  readonly below: string;
}

function filesOfRoots(operation: Operation, layers: OpenLayers): Target[] {
  const dirs = new Map(operation.roots.map((root) => [root.name, root.dir]));
  const targets: Target[] = [];
  for (const planned of layers.plan.values()) {
    const [name, below] = splitRoot(planned.path);
    const root = dirs.get(name);
    if (root !== undefined) targets.push({ planned, root, below });
  }
  return targets;
}

/** What a load has put in place. */
interface Placed {
  /** By path; of files that are since as they were written. */
  readonly files: Map<string, RestoredFile>;
  /** Those of which is still to be asked what placing them has made of them. */
  readonly changed: { readonly target: Target; readonly size: number }[];
}

async function restore(
  operation: Operation,
  { layers, house }: { layers: OpenLayers; house: House },
  missing: readonly Target[],
): Promise<Placed> {
  const { system, signal } = operation;
  /** Of those that were rewritten, by path. */
  const sizes = new Map<string, number>();
  await using stack = new AsyncDisposableStack();
  const stagings = new Map<string, Staging>();
  const stored = layers.contents.reduce((sum, { layer }) => sum + layer.bytes, 0);
  const needed = neededBytes(operation.config, { raw: sizeOf(missing), stored });
  // In the order of the roots: what indexes others is placed after them.
  const used = new Set(missing.map((target) => target.root));
  for (const root of operation.roots.map(({ dir }) => dir).filter((dir) => used.has(dir))) {
    await requireSpace(system.disk, root, needed);
    stagings.set(root, stack.use(await Staging.create(system, root)));
  }
  const targets = new Map(missing.map((target) => [target.planned, target]));
  const total = sizeOf(missing);
  const framesHeld = framesFor(operation.config.loadMemoryMb);
  let done = 0;
  let written = 0;
  for (const contents of layers.contents) {
    const { name } = contents.layer;
    const files = missing.map((target) => target.planned).filter((planned) => planned.layer === name);
    const source = { file: layers.file(name), contents, framesHeld, ahead: layers.ahead };
    await unpackLayer(source, files, (planned, content) => {
      signal.throwIfAborted();
      const target = targets.get(planned);
      const staging = target && stagings.get(target.root);
      if (!staging) return;
      const own = house.rewritten(planned.path, content);
      if (own !== content) sizes.set(planned.path, own.length);
      const facts = { path: target.below, mode: planned.mode, mtimeNs: BigInt(planned.mtime) };
      written++;
      operation.progress(done += content.length, total);
      return staging.writeSoon(facts, own);
    });
  }
  signal.throwIfAborted();
  if (written !== missing.length) {
    throw new CacheError("internal", `Only ${written} of ${missing.length} files came out of the layers`);
  }
  for (const staging of stagings.values()) for (const text of await staging.place()) operation.notice(text);
  const placed: Placed = { files: new Map(), changed: [] };
  for (const target of missing) {
    const { path, sha256, size } = target.planned;
    const stat = stagings.get(target.root)?.versionOf(target.below);
    if (stat) placed.files.set(path, { sha256, stat });
    else placed.changed.push({ target, size: sizes.get(path) ?? size });
  }
  return placed;
}

/** What was restored: a later save tells by it what was rewritten since. */
async function noteRestored(
  operation: Operation,
  store: Store,
  { files, changed }: Placed,
): Promise<void> {
  const { state, key, roots } = operation;
  if (!state) return;
  for (const { target, size } of changed) {
    const stat = versionNow(operation, target, size);
    if (stat) files.set(target.planned.path, { sha256: target.planned.sha256, stat });
  }
  try {
    await state.noteRestored({ storeId: store.id, key, roots }, files);
  } catch (error) {
    operation.notice(
      `what was restored is not recorded, so that files rewritten later are not saved: ${messageOf(error)}`,
    );
  }
}

/** @returns undefined where by now something else is in that place. */
function versionNow(
  { system }: Operation,
  { planned, root, below }: Target,
  size: number,
): FileVersion | undefined {
  try {
    const stat = system.disk.lstatSync(`${root}/${below}`);
    const resolutionNs = system.runtime.mtimeResolutionNs;
    const isRestored = stat.kind === "file" && stat.size === size &&
      stat.mtimeNs / resolutionNs === BigInt(planned.mtime) / resolutionNs;
    return isRestored ? stat : undefined;
  } catch {
    return undefined;
  }
}

function sizeOf(targets: readonly Target[]): number {
  return targets.reduce((sum, target) => sum + target.planned.size, 0);
}
