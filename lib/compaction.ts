/**
 * Compaction: a run of many small layers is rewritten into one, with every digest verified on the way. It is an
 * ordinary commit, valid only while that exact run is in the head, so that it can lose a race and never a file.
 * Readers notice nothing: the layers stay where they are until a prune.
 */
import { framesToPack, packLayer } from "./archive.ts";
import { putNext, storedBytes } from "./commit.ts";
import { condemnedBy, findHead, type Head } from "./history.ts";
import { hasLayer, openLayers } from "./layers.ts";
import type { Layer } from "./manifest.ts";
import type { Operation } from "./operation.ts";
import { readBack } from "./read_back.ts";
import type { Store } from "./store.ts";
import { countOf, formatBytes } from "./text.ts";

const bytesPerMb = 1024 * 1024;

/** A commit that others keep winning over is for the next save. */
const maxPuts = 5;

/**
 * Rewrites the longest run of layers that the budget allows, if the head has more layers than it should.
 * @throws {CacheError} with the cache as it was.
 */
export async function compact(operation: Operation, store: Store): Promise<void> {
  const { key, config } = operation;
  const head = await findHead(store, key);
  const layers = head.generation?.manifest.layers ?? [];
  if (layers.length <= config.compactAfterLayers) return;
  const run = longestRun(layers, config.compactBudgetMb * bytesPerMb);
  if (run.length < 2 || await store.freeBytes() < storedBytes(run)) return;
  const compacted = await rewrite(operation, store, { layers, run });
  await commit(operation, store, { run, compacted });
}

/** The neighbours, as many as possible, that have at most `budgetBytes` together; of several such runs the newest. */
export function longestRun(layers: readonly Layer[], budgetBytes: number): readonly Layer[] {
  let best: readonly Layer[] = [];
  for (let from = 0, to = 0; to < layers.length; to++) {
    while (storedBytes(layers.slice(from, to + 1)) > budgetBytes) from++;
    const run = layers.slice(from, to + 1);
    if (run.length >= best.length) best = run;
  }
  return best;
}

async function rewrite(
  operation: Operation,
  store: Store,
  { layers, run }: { layers: readonly Layer[]; run: readonly Layer[] },
): Promise<Layer> {
  await using opened = await openLayers(store, operation.key, { layers: run });
  await using upload = await store.beginLayer(operation.key);
  const { layer } = await packLayer(readBack(opened, operation.signal), upload, {
    framesHeld: framesToPack(operation.system.runtime.cores),
  });
  operation.signal.throwIfAborted();
  const name = await upload.publish();
  operation.inform(
    `${run.length} of ${countOf(layers.length, "layer")}, ${formatBytes(storedBytes(run))}, become one of ` +
      formatBytes(layer.bytes),
  );
  return { name, ...layer, replaces: run.map((old) => old.name) };
}

async function commit(
  { key, system, signal, config }: Operation,
  store: Store,
  { run, compacted }: { run: readonly Layer[]; compacted: Layer },
): Promise<void> {
  for (let puts = 0; puts < maxPuts; puts++) {
    signal.throwIfAborted();
    const head = await findHead(store, key);
    const layers = withRunReplaced(head, run, compacted);
    if (!layers || storedBytes(layers) > config.maxCacheSizeMb * bytesPerMb) return;
    // Whoever slept for long enough finds its layer condemned, removed, and on no list any more.
    if (!await hasLayer(store, key, compacted.name)) return;
    await putNext(system, store, { key, head, next: { layers } });
  }
}

/** @returns undefined where this exact run is not in the head, or the compacted layer may not be named any more. */
export function withRunReplaced(
  head: Head,
  run: readonly Layer[],
  compacted: Layer,
): readonly Layer[] | undefined {
  const { layers = [] } = head.generation?.manifest ?? {};
  const condemned = condemnedBy(head);
  const from = layers.findIndex((layer) => layer.name === run[0]?.name);
  const isThere = from >= 0 && run.every((layer, at) => layers[from + at]?.name === layer.name);
  if (!isThere) return undefined;
  const next = [...layers.slice(0, from), compacted, ...layers.slice(from + run.length)];
  return next.some(({ name }) => condemned.includes(name)) ? undefined : next;
}
