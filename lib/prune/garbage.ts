/**
 * Superseded generations and layers that nobody names. A first run marks what no retained generation names; a second,
 * once the marks are old enough, condemns it in a commit, looks at the store afresh, and removes it. Whoever would name
 * a condemned layer loses, whatever it slept through.
 */
import { deadUploadMs, pruneGraceMs } from "../ages.ts";
import { putNext } from "../commit.ts";
import { CacheError, messageOf } from "../errors.ts";
import { carriedOn, condemnedBy, findHead, type Head } from "../history.ts";
import type { CacheKey } from "../key.ts";
import { hasLayer } from "../layers.ts";
import { contentId, type Generation } from "../manifest.ts";
import { type Mark, maxCandidates, putMark } from "../marks.ts";
import { leastKept } from "../prune_policy.ts";
import type { StoredLayer } from "../store.ts";
import { lookAtKey, type View } from "./view.ts";
import { type Prune, wouldDropSignatures } from "./work.ts";

/** What was removed of one key. */
export interface Collected {
  readonly key: CacheKey;
  readonly generationsRemoved: number;
  readonly layersRemoved: number;
  readonly bytesFreed: number;
  /** Of layers that nobody names, and that go in a later run. */
  readonly bytesWaiting: number;
}

/** A commit that others keep winning over is for the next prune. */
const maxRounds = 20;

const jitterMs = 50;

/**
 * Run 1 marks, run 2 condemns and removes: whichever is due.
 * @throws {CacheError} `store_io`, `contended`; what was done until then is done, and the next prune goes on.
 */
export async function collect(work: Prune, key: CacheKey): Promise<Collected> {
  const { store, system, signal, config } = work;
  const nothing = { key, generationsRemoved: 0, layersRemoved: 0, bytesFreed: 0, bytesWaiting: 0 };
  for (let round = 0; round < maxRounds; round++) {
    signal.throwIfAborted();
    const view = await lookAtKey(work, key);
    if (view.numbers.length > 0 && view.generations.length === 0) {
      const what = view.head.passedOver ? "signed by a key that is trusted" : "valid";
      work.notice(`${key} is left as it is: none of its generations is ${what}`);
      return nothing;
    }
    if (wouldDropSignatures(store, view.generations)) {
      work.notice(`${key} is left as it is: its generations are signed; set B10_CACHE_SIGNING_KEY_FILE`);
      return nothing;
    }
    const retained = retainedOf(view, work.policy.keepLast ?? leastKept);
    const unnamed = view.stored.filter((layer) => !retained.layers.has(layer.name));
    const condemned = condemnedBy(view.head);
    const due = dueOf(view, unnamed, pruneGraceMs(config)).filter((name) => !condemned.includes(name));
    if (due.length > 0 && !work.dryRun) {
      await commitCondemned(work, key, { head: view.head, condemned: [...condemned, ...due] });
      // Only what a fresh head condemns is removed.
      await system.clock.sleep(system.random.fraction() * jitterMs, signal);
      continue;
    }
    const removal = await planRemoval(work, key, { view, retained, condemned: [...condemned, ...due] });
    if (!work.dryRun) {
      await remove(work, key, removal);
      await dropGoneNames(work, key, condemned);
      await noteCandidates(work, key, view, unnamed.filter((layer) => !removal.layers.includes(layer)));
      await store.sweep(key, deadUploadMs(config));
    }
    return {
      key,
      generationsRemoved: removal.numbers.length,
      layersRemoved: removal.layers.length,
      bytesFreed: sizeOf(removal.layers),
      bytesWaiting: sizeOf(unnamed.filter((layer) => !removal.layers.includes(layer))),
    };
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
 * The newest generations, as many as have `keep` different lists of layers. Where there are fewer lists every number
 * stays: one that is free can be won by a saver that slept, and would then count as a generation that is kept. Behind an
 * eviction nothing is needed any more: nobody falls back from an empty cache.
 */
function retainedOf({ generations, numbers }: View, keep: number): Retained {
  const lists = new Set<string>();
  for (const { manifest } of generations.toReversed()) {
    lists.add(manifest.layers.map((layer) => layer.name).join());
    if (lists.size === keep || manifest.layers.length === 0) {
      return { floor: manifest.n, layers: namedFrom(generations, manifest.n) };
    }
  }
  const floor = numbers[0] ?? 0;
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
  return unnamed.map(({ name }) => name).filter((name) => aged.has(name)).slice(0, maxCandidates);
}

async function commitCondemned(
  { system, store }: Prune,
  key: CacheKey,
  { head, condemned }: { head: Head; condemned: readonly string[] },
): Promise<void> {
  await putNext(system, store, { key, head, next: { layers: carriedOn(head), condemned } });
}

interface Removal {
  /** Of generations, ascending. */
  readonly numbers: readonly number[];
  readonly layers: readonly StoredLayer[];
}

/** What goes: superseded generations, and condemned layers that no remaining one names. */
async function planRemoval(
  work: Prune,
  key: CacheKey,
  { view, retained, condemned }: { view: View; retained: Retained; condemned: readonly string[] },
): Promise<Removal> {
  const numbers = await supersededLongAgo(work, key, { view, floor: retained.floor });
  const remaining = view.generations.filter(({ manifest }) => !numbers.includes(manifest.n));
  const needed = new Set(remaining.flatMap(({ manifest }) => manifest.layers.map((layer) => layer.name)));
  const layers = view.stored.filter(({ name }) => condemned.includes(name) && !needed.has(name));
  return { numbers, layers };
}

/** Bottom-up: generations first, then what they alone named. */
async function remove({ store }: Prune, key: CacheKey, { numbers, layers }: Removal): Promise<void> {
  await store.removeGenerations(key, numbers);
  for (const { name } of layers) await store.removeLayer(key, name);
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
  const before = condemnedBy(head);
  const after = before.filter((name) => !gone.has(name));
  if (after.length === before.length) return;
  await putNext(system, store, {
    key,
    head,
    next: { layers: carriedOn(head), condemned: after },
  });
}

/** Somebody may still act on it. */
function serves(
  mark: Mark,
  { view, waiting, named }: { view: View; waiting: ReadonlySet<string>; named: ReadonlySet<string> },
): boolean {
  switch (mark.kind) {
    case "candidates":
      return mark.layers.some((name) => waiting.has(name));
    case "bad_layer":
      return named.has(mark.layer);
    case "suspect":
      return view.generations.some(({ manifest }) => contentId(manifest) === mark.content);
  }
  return mark satisfies never;
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
      if (!serves(mark, { view, waiting, named })) await store.removeMark(key, mark.name);
      else if (mark.kind === "candidates") { for (const name of mark.layers) marked.add(name); }
    }
    const unmarked = [...waiting].filter((name) => !marked.has(name)).slice(0, maxCandidates);
    if (unmarked.length > 0) await putMark(store, key, { kind: "candidates", layers: unmarked });
  } catch (error) {
    notice(`what nobody names in ${key} could not be noted for the next prune: ${messageOf(error)}`);
  }
}

function sizeOf(layers: readonly StoredLayer[]): number {
  return layers.reduce((sum, layer) => sum + layer.bytes, 0);
}
