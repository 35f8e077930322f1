/**
 * Prune: superseded generations, layers that nobody names, whole caches that are out of use. In two runs: the first
 * marks what no retained generation names; the second, once the marks are old enough, condemns it in a commit, looks
 * at the store afresh, and removes it. Whoever would name a condemned layer loses, whatever it slept through.
 */
import { deadUploadMs, pruneGraceMs } from "./ages.ts";
import { putNext, storedBytes } from "./commit.ts";
import type { Config } from "./config.ts";
import { CacheError, messageOf } from "./errors.ts";
import { findHead, type Head, lookAt, readGeneration } from "./history.ts";
import type { CacheKey } from "./key.ts";
import { hasLayer } from "./layers.ts";
import type { Generation } from "./manifest.ts";
import { putMark, type ReadMark, readMarks } from "./marks.ts";
import { cachesToEvict, type CacheUsage, leastKept, type PrunePolicy } from "./prune_policy.ts";
import type { Store, StoredLayer } from "./store.ts";
import type { System } from "./system.ts";

export interface Prune {
  readonly system: Pick<System, "clock" | "random">;
  readonly config: Config;
  readonly store: Store;
  readonly policy: PrunePolicy;
  /** Say what would be done, and write nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly notice: (text: string) => void;
}

/** What became of one cache. */
export interface PrunedCache {
  readonly key: CacheKey;
  readonly evicted: boolean;
  readonly generationsRemoved: number;
  readonly layersRemoved: number;
  readonly bytesFreed: number;
  /** Of layers that nobody names, and that go in a later run. */
  readonly bytesWaiting: number;
}

/** A commit that others keep winning over is for the next prune. */
const maxRounds = 20;

const jitterMs = 50;

/** @throws {CacheError} `store_io`; what was done until then is done, and the next prune goes on. */
export async function prune(work: Prune): Promise<PrunedCache[]> {
  const keys = await work.store.keys();
  const evicted = await evictUnused(work, keys);
  const pruned: PrunedCache[] = [];
  for (const key of keys) {
    work.signal.throwIfAborted();
    pruned.push({ ...await collect(work, key), evicted: evicted.has(key) });
  }
  return pruned;
}

interface Used extends CacheUsage {
  readonly head: Head;
}

async function evictUnused(work: Prune, keys: readonly CacheKey[]): Promise<ReadonlySet<CacheKey>> {
  const caches: Used[] = [];
  for (const key of keys) {
    const used = await usageOf(work, key);
    if (used) caches.push(used);
  }
  const due = new Set(cachesToEvict(caches, work.policy).map(({ key }) => key));
  const evicted = new Set<CacheKey>();
  for (const { key, head } of caches) {
    if (due.has(key) && (work.dryRun || await evict(work, key, head))) evicted.add(key);
  }
  return evicted;
}

/** @returns undefined where there is nothing to evict. */
async function usageOf(work: Prune, key: CacheKey): Promise<Used | undefined> {
  const { store } = work;
  const head = await findHead(store, key);
  const layers = head.generation?.manifest.layers ?? [];
  if (layers.length === 0) return undefined;
  const named = new Set(layers.map((layer) => layer.name));
  const savedMs = (await store.layers(key)).filter(({ name }) => named.has(name)).map(({ madeMs }) => madeMs);
  const usedMs = Math.max(await store.lastUseMs(key) ?? 0, ...savedMs);
  return { key, head, storedBytes: storedBytes(layers), idleMs: await nowMs(work, key) - usedMs };
}

/** A dry run writes nothing, so that it has only this machine's clock. */
async function nowMs({ store, system, dryRun }: Prune, key: CacheKey): Promise<number> {
  return dryRun ? system.clock.nowMs() : await store.nowMs(key);
}

/** Evicting is committing an empty generation. @returns false where the cache was saved anew meanwhile. */
async function evict({ system, store }: Prune, key: CacheKey, decided: Head): Promise<boolean> {
  const head = await findHead(store, key);
  if (head.generation?.sha256 !== decided.generation?.sha256) return false;
  await putNext(system, store, { key, head, next: { layers: [] } });
  return (await findHead(store, key)).generation?.manifest.layers.length === 0;
}

/** What a look at one key shows. */
interface View {
  readonly head: Head;
  /** Every number up to the head's, ascending. */
  readonly numbers: readonly number[];
  /** The valid ones of them, ascending: the head is the last. */
  readonly generations: readonly Generation[];
  readonly stored: readonly StoredLayer[];
  readonly marks: readonly ReadMark[];
  readonly nowMs: number;
}

/**
 * The layers are listed before the head is looked for: one that is listed and that this head does not name can only be
 * named by a later one, and then a commit on this head loses.
 */
async function lookAtKey(work: Prune, key: CacheKey): Promise<View> {
  const { store } = work;
  const stored = await store.layers(key);
  const head = await findHead(store, key);
  return {
    head,
    ...await walkDown(store, key, head),
    stored,
    marks: await readMarks(store, key),
    nowMs: await nowMs(work, key),
  };
}

/** How many numbers running must be absent before the way down ends: a prune removes from the bottom up. */
const absencesAtTheEnd = 2;

/** By opening one number after the other, as a listing may miss some; and whatever else is listed below. */
async function walkDown(
  store: Store,
  key: CacheKey,
  head: Head,
): Promise<Pick<View, "numbers" | "generations">> {
  const top = head.generation?.manifest.n ?? head.next - 1;
  const numbers: number[] = [];
  const generations: Generation[] = [];
  const visit = async (n: number): Promise<boolean> => {
    const read = await readGeneration(store, key, n);
    if (read.kind === "gone") return false;
    numbers.push(n);
    if (read.kind === "valid") generations.push(read.generation);
    return true;
  };
  let n = top;
  for (let absent = 0; n > 0 && absent < absencesAtTheEnd; n--) absent = await visit(n) ? 0 : absent + 1;
  for (const listed of (await lookAt(store, key)).numbers) if (listed <= n) await visit(listed);
  return { numbers: numbers.reverse(), generations: generations.reverse() };
}

type Collected = Omit<PrunedCache, "evicted">;

async function collect(work: Prune, key: CacheKey): Promise<Collected> {
  const { store, system, signal, config } = work;
  const nothing = { key, generationsRemoved: 0, layersRemoved: 0, bytesFreed: 0, bytesWaiting: 0 };
  for (let round = 0; round < maxRounds; round++) {
    signal.throwIfAborted();
    const view = await lookAtKey(work, key);
    if (view.numbers.length > 0 && view.generations.length === 0) {
      work.notice(`${key} is left as it is: none of its generations is valid`);
      return nothing;
    }
    const retained = retainedOf(view, work.policy.keepLast ?? leastKept);
    const unnamed = view.stored.filter((layer) => !retained.layers.has(layer.name));
    const condemned = view.head.generation?.manifest.condemned ?? [];
    const due = dueOf(view, unnamed, pruneGraceMs(config)).filter((name) => !condemned.includes(name));
    if (due.length > 0 && !work.dryRun) {
      await commitCondemned(work, key, { head: view.head, condemned: [...condemned, ...due] });
      // Only what a fresh head condemns is removed.
      await system.clock.sleep(system.random.fraction() * jitterMs, signal);
      continue;
    }
    if (work.dryRun) return { ...nothing, bytesWaiting: sizeOf(unnamed) };
    const result = await remove(work, key, { view, floor: retained.floor, condemned });
    await noteCandidates(work, key, view, unnamed);
    await store.sweep(key, deadUploadMs(config));
    return result;
  }
  throw new CacheError(
    "contended",
    `Cannot prune ${key} as other pods kept winning; the next prune tries again`,
  );
}

interface Retained {
  /** The lowest number that is kept. */
  readonly floor: number;
  /** What the kept generations name. */
  readonly layers: ReadonlySet<string>;
}

/**
 * The newest generations, as many as have `keep` different lists of layers. Behind an eviction nothing is needed any
 * more: nobody falls back from an empty cache.
 */
function retainedOf({ generations, numbers }: View, keep: number): Retained {
  const lists = new Set<string>();
  let floor = numbers.at(-1) ?? 0;
  for (const { manifest } of generations.toReversed()) {
    const list = manifest.layers.map((layer) => layer.name).join();
    if (lists.has(list)) continue;
    if (lists.size >= keep) break;
    lists.add(list);
    floor = manifest.n;
    if (manifest.layers.length === 0) break;
  }
  return { floor, layers: namedFrom(generations, floor) };
}

function namedFrom(generations: readonly Generation[], floor: number): ReadonlySet<string> {
  const kept = generations.filter(({ manifest }) => manifest.n >= floor);
  return new Set(kept.flatMap(({ manifest }) => manifest.layers.map((layer) => layer.name)));
}

/** Names that were marked a grace ago, and that still nobody names. */
function dueOf({ marks, nowMs }: View, unnamed: readonly StoredLayer[], grace: number): string[] {
  const aged = new Set(
    marks.filter((mark) => mark.kind === "candidates" && nowMs - mark.madeMs >= grace)
      .flatMap((mark) => mark.kind === "candidates" ? mark.layers : []),
  );
  return unnamed.map(({ name }) => name).filter((name) => aged.has(name));
}

async function commitCondemned(
  { system, store }: Prune,
  key: CacheKey,
  { head, condemned }: { head: Head; condemned: readonly string[] },
): Promise<void> {
  const layers = head.generation?.manifest.layers ?? [];
  await putNext(system, store, { key, head, next: { layers, condemned } });
}

/** Bottom-up: generations first, then what they alone named, then the names. */
async function remove(
  work: Prune,
  key: CacheKey,
  { view, floor, condemned }: { view: View; floor: number; condemned: readonly string[] },
): Promise<Collected> {
  const { store } = work;
  const numbers = await supersededLongAgo(work, key, { view, floor });
  await store.removeGenerations(key, numbers);
  const removed = new Set(numbers);
  const needed = new Set(
    view.generations.filter(({ manifest }) => !removed.has(manifest.n))
      .flatMap(({ manifest }) => manifest.layers.map((layer) => layer.name)),
  );
  const going = view.stored.filter(({ name }) => condemned.includes(name) && !needed.has(name));
  for (const { name } of going) await store.removeLayer(key, name);
  await dropGoneNames(work, key, condemned);
  const unnamed = view.stored.filter(({ name }) => !namedFrom(view.generations, floor).has(name));
  return {
    key,
    generationsRemoved: numbers.length,
    layersRemoved: going.length,
    bytesFreed: sizeOf(going),
    bytesWaiting: sizeOf(unnamed) - sizeOf(going),
  };
}

/**
 * The numbers below the floor whose successor is older than the grace, ascending. A listing on another machine may be
 * as stale as that: the newest number it shows can still be opened then, and the way up from there is unbroken.
 */
async function supersededLongAgo(
  { store, config }: Prune,
  key: CacheKey,
  { view, floor }: { view: View; floor: number },
): Promise<number[]> {
  const { numbers, nowMs } = view;
  const old: number[] = [];
  for (const [at, n] of numbers.entries()) {
    const successor = numbers[at + 1];
    if (n >= floor || successor === undefined) break;
    const madeMs = await store.generationMadeMs(key, successor);
    if (madeMs === undefined || nowMs - madeMs < pruneGraceMs(config)) break;
    old.push(n);
  }
  return old;
}

/**
 * A name that is gone for good needs no condemning; whether it is, opening it tells, as a listing may be stale. Lost to
 * another commit, it is for the next prune.
 */
async function dropGoneNames(
  { system, store }: Prune,
  key: CacheKey,
  condemned: readonly string[],
): Promise<void> {
  if (condemned.length === 0) return;
  const gone = new Set<string>();
  for (const name of condemned) if (!await hasLayer(store, key, name)) gone.add(name);
  const head = await findHead(store, key);
  const before = head.generation?.manifest.condemned ?? [];
  const after = before.filter((name) => !gone.has(name));
  if (after.length === before.length) return;
  await putNext(system, store, {
    key,
    head,
    next: { layers: head.generation?.manifest.layers ?? [], condemned: after },
  });
}

/** Run 1: marks what nobody names, and forgets marks that have served. */
async function noteCandidates(
  { store, notice }: Prune,
  key: CacheKey,
  view: View,
  unnamed: readonly StoredLayer[],
): Promise<void> {
  try {
    const waiting = new Set(unnamed.map(({ name }) => name));
    const named = new Set(
      view.generations.flatMap(({ manifest }) => manifest.layers.map(({ name }) => name)),
    );
    const marked = new Set<string>();
    for (const mark of view.marks) {
      const serves = mark.kind === "candidates"
        ? mark.layers.some((name) => waiting.has(name))
        : named.has(mark.layer);
      if (!serves) await store.removeMark(key, mark.name);
      else if (mark.kind === "candidates") { for (const name of mark.layers) marked.add(name); }
    }
    const unmarked = [...waiting].filter((name) => !marked.has(name));
    if (unmarked.length > 0) await putMark(store, key, { kind: "candidates", layers: unmarked });
  } catch (error) {
    notice(`what nobody names in ${key} could not be noted for the next prune: ${messageOf(error)}`);
  }
}

function sizeOf(layers: readonly StoredLayer[]): number {
  return layers.reduce((sum, layer) => sum + layer.bytes, 0);
}
