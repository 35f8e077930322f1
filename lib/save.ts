/** Save: what this pod has and the store has not becomes the next generation. */
import { pathConflicts } from "./archive.ts";
import { CacheError } from "./errors.ts";
import { findHead, type Head } from "./history.ts";
import { openLayers } from "./layers.ts";
import {
  encodeGeneration,
  formatVersion,
  type Layer,
  type Manifest,
  maxGenerationNumber,
} from "./manifest.ts";
import type { Operation, SaveOutcome } from "./operation.ts";
import { type NewLayer, packTree } from "./pack_tree.ts";
import type { Store } from "./store.ts";
import { formatBytes, quote } from "./text.ts";
import { type LocalFile, walkTree } from "./tree.ts";
import { versionLine } from "./version.ts";

const bytesPerMb = 1024 * 1024;

/** After a lost race the next attempt waits up to this long, so that many savers do not march in step. */
const jitterMs = 50;

/**
 * Commits every local file whose path the head does not have. A path that the store has is kept as the store has
 * it: replicas that replaced each other's equals would grow the store for ever.
 * SUCCESS is only ever what a fresh look at the store shows.
 * @param openStore is called once there is something to save.
 * @throws {CacheError} with the store as readers saw it before.
 */
export async function save(operation: Operation, openStore: () => Promise<Store>): Promise<SaveOutcome> {
  if (operation.config.readOnly) return { status: "SKIPPED", reason: "B10_CACHE_READ_ONLY is on" };
  const tree = await walkTree(operation.system.fs, operation.roots);
  for (const text of tree.notices) operation.notice(text);
  if (tree.files.size === 0) return { status: "SKIPPED", reason: "there is nothing on this pod to save" };
  return await commit(operation, await openStore(), [...tree.files.values()]);
}

/** A look at the store, and what this pod would add to it. */
interface Comparison {
  readonly head: Head;
  /** Local files whose paths the head does not have. */
  readonly added: readonly LocalFile[];
}

async function commit(operation: Operation, store: Store, local: readonly LocalFile[]): Promise<SaveOutcome> {
  const { clock, random } = operation.system;
  const deadlineMs = clock.monotonicMs() + operation.config.saveTimeoutS * 1000;
  const told = new Set<string>();
  let mine: NewLayer | undefined;
  let candidates = local;
  let doubt: unknown;
  for (let attempt = 0;; attempt++) {
    operation.signal.throwIfAborted();
    const { head, added } = await compare(operation, store, { local: candidates, told });
    const committed = mine &&
      head.generation?.manifest.layers.find((layer) => layer.name === mine?.layer.name);
    if (added.length === 0 || committed) {
      const leftOut = told.size > 0 || candidates.length < local.length;
      return outcomeOf(head, { mine: committed && mine, leftOut });
    }
    if (doubt !== undefined) throw doubt;
    if (clock.monotonicMs() > deadlineMs) throw contended(operation);
    if (!mine || !stillFits(mine, { head, added, maxBytes: sizeLimit(operation) })) {
      await store.sweep(operation.key, unfinishedAgeMs(operation));
      await requireStoreSpace(operation, store, added);
      const room = sizeLimit(operation) - storedBytes(head.generation?.manifest.layers ?? []);
      const packed = await packTree(operation, store, { files: added, maxBytes: Math.max(room, 0) });
      if (packed.kind === "nothing") return outcomeOf(head, { mine: undefined, leftOut: true });
      mine = packed.kind === "published"
        ? packed
        : await startOver(operation, store, { head, candidates, packed });
      candidates = withoutUnpacked(candidates, added, mine);
    }
    refuseUsedUpNumbers(operation, head);
    const manifest = nextManifest(operation, store, head, mine);
    try {
      await store.putGeneration(operation.key, head.next, encodeGeneration(manifest).bytes);
    } catch (error) {
      // A failed answer may still have had its effect: the next look tells.
      doubt = error;
    }
    if (attempt > 0) await clock.sleep(random.fraction() * jitterMs, operation.signal);
  }
}

/** A save ends at its deadline, and has 5 s to clean up; what a network file system tells of times may be a while old. */
const saveMarginS = 300;

function unfinishedAgeMs({ config }: Operation): number {
  return Math.max(config.incompleteTimeoutS, config.saveTimeoutS + saveMarginS) * 1000;
}

function contended({ key, config }: Operation): CacheError {
  return new CacheError(
    "contended",
    `Cannot commit to ${key} as other pods kept winning for ${config.saveTimeoutS} s, B10_CACHE_SAVE_TIMEOUT_S; ` +
      "the next save tries again",
  );
}

/** Whatever would not hold still is for the next save. */
function withoutUnpacked(
  candidates: readonly LocalFile[],
  added: readonly LocalFile[],
  mine: NewLayer,
): readonly LocalFile[] {
  const packed = new Set(mine.files.map((file) => file.path));
  const unpacked = new Set(added.filter((file) => !packed.has(file.path)));
  return candidates.filter((file) => !unpacked.has(file));
}

async function compare(
  operation: Operation,
  store: Store,
  { local, told }: { local: readonly LocalFile[]; told: Set<string> },
): Promise<Comparison> {
  const head = await findHead(store, operation.key);
  if (!head.generation) return { head, added: local };
  await using layers = await openLayers(store, operation.key, head.generation.manifest);
  const absent = local.filter((file) => !layers.plan.has(file.path));
  // One pod's file may be another's directory: what is committed already stays.
  const conflicting = new Set(
    pathConflicts(new Set([...layers.plan.keys(), ...absent.map((file) => file.path)]))
      .flatMap(({ file, below }) => [file, below]),
  );
  for (const { path } of absent) {
    if (!conflicting.has(path) || told.has(path)) continue;
    told.add(path);
    operation.notice(
      `${quote(path)} is left out as the store has a file where this pod has a directory, or the reverse`,
    );
  }
  return { head, added: absent.filter((file) => !conflicting.has(file.path)) };
}

/** A layer that this run has published can be committed on another head, if nothing in it is there by now. */
function stillFits(
  mine: NewLayer,
  { head, added, maxBytes }: Comparison & { maxBytes: number },
): boolean {
  if (mine.replacesAll) return false;
  const earlier = head.generation?.manifest.layers ?? [];
  if (head.generation?.manifest.condemned.includes(mine.layer.name)) return false;
  if (storedBytes(earlier) + mine.layer.bytes > maxBytes) return false;
  const paths = new Set(added.map((file) => file.path));
  return mine.files.length === paths.size && mine.files.every((file) => paths.has(file.path));
}

/** @param leftOut some of what the store lacks could not be saved, with a notice for each. */
function outcomeOf(
  head: Head,
  { mine, leftOut }: { mine: NewLayer | undefined; leftOut: boolean },
): SaveOutcome {
  const generation = head.generation?.manifest.n;
  if (!mine || generation === undefined || !head.generation) {
    return {
      status: "SKIPPED",
      ...(generation === undefined ? {} : { generation }),
      reason: leftOut
        ? "the store has every file of this pod but those that were left out: see the warnings"
        : "the store already has every file of this pod",
    };
  }
  const totals = {
    files: mine.layer.files,
    bytes: mine.layer.raw_bytes,
    storedBytes: storedBytes(head.generation.manifest.layers),
  };
  return { status: "SUCCESS", generation, totals };
}

function sizeLimit({ config }: Operation): number {
  return config.maxCacheSizeMb * bytesPerMb;
}

/**
 * A cache that would pass MAX_CACHE_SIZE_MB starts over with this pod's tree alone.
 * @throws {CacheError} `cache_too_large` where that alone is too large, with nothing left in the store.
 */
async function startOver(
  operation: Operation,
  store: Store,
  { head, candidates, packed }: { head: Head; candidates: readonly LocalFile[]; packed: { bytes: number } },
): Promise<NewLayer> {
  const limit = sizeLimit(operation);
  const isAlone = (head.generation?.manifest.layers ?? []).length === 0;
  const alone = isAlone
    ? { kind: "too_large" as const, bytes: packed.bytes }
    : await packTree(operation, store, { files: candidates, maxBytes: limit });
  if (alone.kind === "published") {
    operation.notice("the cache starts over with this pod's files, as MAX_CACHE_SIZE_MB is reached");
    return { ...alone, replacesAll: true };
  }
  const bytes = alone.kind === "too_large" ? alone.bytes : packed.bytes;
  throw new CacheError(
    "cache_too_large",
    `Cannot save ${formatBytes(bytes)} as MAX_CACHE_SIZE_MB is ${operation.config.maxCacheSizeMb} ` +
      `(${formatBytes(limit)}); raise it, and MAX_CACHE_SIZE_CAP_MB if need be`,
  );
}

/** Ten thousand million saves, or a stray file of the last number. @throws {CacheError} `bad_manifest` */
function refuseUsedUpNumbers({ key }: Operation, { next }: Head): void {
  if (next <= maxGenerationNumber) return;
  throw new CacheError(
    "bad_manifest",
    `Cannot save ${key} as its last generation number, ${maxGenerationNumber}, is taken; remove the directory ` +
      "of this key from the store",
  );
}

function nextManifest(operation: Operation, store: Store, head: Head, mine: NewLayer): Manifest {
  const parent = head.generation;
  const earlier = mine.replacesAll ? [] : parent?.manifest.layers ?? [];
  const roots = Object.fromEntries(operation.roots.map((root) => [root.name, { path: root.dir }]));
  return {
    format: formatVersion,
    store_id: store.id,
    key: operation.key,
    environment: { ...operation.environment, devices: [...operation.environment.devices] },
    n: head.next,
    parent: parent ? { n: parent.manifest.n, sha256: parent.sha256 } : null,
    nonce: operation.system.random.hex(16),
    created_at: new Date(operation.system.clock.nowMs()).toISOString(),
    written_by: versionLine,
    roots: { ...roots, ...parent?.manifest.roots },
    layers: [...earlier, mine.layer],
    condemned: parent?.manifest.condemned ?? [],
    cold_start: parent?.manifest.cold_start ?? null,
  };
}

function storedBytes(layers: readonly Layer[]): number {
  return layers.reduce((sum, layer) => sum + layer.bytes, 0);
}

/** Compile caches shrink to a tenth and less; to a quarter at worst, of all that were measured. */
const leastCompression = 4;

/** @throws {CacheError} `no_space` before anything is written. */
async function requireStoreSpace(
  operation: Operation,
  store: Store,
  added: readonly LocalFile[],
): Promise<void> {
  const raw = added.reduce((sum, file) => sum + file.stat.size, 0);
  const needed = Math.max(raw / leastCompression, (operation.config.minStoreSpaceMb ?? 0) * bytesPerMb);
  const free = await store.freeBytes();
  if (free >= needed) return;
  throw new CacheError(
    "no_space",
    `Cannot save ${formatBytes(raw)} as the shared store has ${formatBytes(free)} free and ${
      formatBytes(needed)
    } are ` +
      "needed; remove old caches from the volume or enlarge it",
  );
}
