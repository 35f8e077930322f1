/** A generation's layers, opened and indexed: what a load restores from and a save compares with. */
import {
  FramesAhead,
  type LayerContents,
  maxIndexesRawBytes,
  type Plan,
  planLayers,
  readIndex,
} from "./archive.ts";
import { MemoryBudget } from "./entry_rules.ts";
import { CacheError } from "./errors.ts";
import type { CacheKey } from "./key.ts";
import type { Layer } from "./manifest.ts";
import type { LayerFile, Store } from "./store.ts";

/** Open layers of one generation, by name. */
export class OpenLayers implements AsyncDisposable {
  readonly contents: readonly LayerContents[];
  readonly plan: Plan;
  /** The first layer's first frames, where they were asked for. */
  readonly ahead: FramesAhead | undefined;
  readonly #files: ReadonlyMap<string, LayerFile>;

  constructor(contents: readonly LayerContents[], { files, ahead }: Opened) {
    this.contents = contents;
    this.plan = planLayers(contents);
    this.ahead = ahead;
    this.#files = files;
  }

  /** @throws {CacheError} `internal` for a layer of another generation. */
  file(name: string): LayerFile {
    const file = this.#files.get(name);
    if (!file) throw new CacheError("internal", `Layer ${name} is not open`);
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeAll({ files: this.#files, ahead: this.ahead });
  }
}

/** What is to be closed. */
interface Opened {
  /** By the layer's name. */
  readonly files: ReadonlyMap<string, LayerFile>;
  readonly ahead: FramesAhead | undefined;
}

/**
 * Opens every layer of a generation and reads its index.
 * @param framesAhead so many frames of the first layer are read and decoded while the indexes are checked: for who needs
 * them all.
 * @throws {CacheError} `bad_layer` where one is absent or damaged, `bad_index` where what they say cannot be.
 */
export async function openLayers(
  store: Store,
  key: CacheKey,
  { layers }: { readonly layers: readonly Layer[] },
  framesAhead = 0,
): Promise<OpenLayers> {
  const files = new Map<string, LayerFile>();
  let ahead: FramesAhead | undefined;
  const budget = new MemoryBudget(maxIndexesRawBytes);
  const opened = await settledInTurn(layers, async (layer) => {
    const file = await openOne(store, key, layer);
    files.set(layer.name, file);
    const contents = { layer, index: await readIndex(file, layer, budget) };
    if (framesAhead > 0 && layer === layers[0]) ahead = new FramesAhead(file, contents, framesAhead);
    return contents;
  });
  try {
    return new OpenLayers(opened.map(valueOf), { files, ahead });
  } catch (error) {
    await closeAll({ files, ahead });
    throw error;
  }
}

/** How many layers are opened at once: each index that is read takes several times its size. */
const width = 4;

/** As `Promise.allSettled`, a few at a time, and none after the first that fails. */
async function settledInTurn<T, R>(
  items: readonly T[],
  act: (item: T) => Promise<R>,
): Promise<PromiseSettledResult<R>[]> {
  const results: PromiseSettledResult<R>[] = [];
  for (let at = 0; at < items.length; at += width) {
    results.push(...await Promise.allSettled(items.slice(at, at + width).map(act)));
    if (results.some(({ status }) => status === "rejected")) break;
  }
  return results;
}

function valueOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

async function openOne(store: Store, key: CacheKey, layer: Layer): Promise<LayerFile> {
  const file = await store.openLayer(key, layer.name);
  if (file) return file;
  throw new CacheError("bad_layer", `Cannot use this cache as its layer ${layer.name} is not in the store`, {
    layer: layer.name,
  });
}

/** Asks by opening: a listing may be stale. */
export async function hasLayer(store: Store, key: CacheKey, name: string): Promise<boolean> {
  const file = await store.openLayer(key, name);
  await file?.[Symbol.asyncDispose]();
  return file !== undefined;
}

/** What was only read is as good where closing it fails. */
async function closeAll({ files, ahead }: Opened): Promise<void> {
  await ahead?.[Symbol.asyncDispose]();
  await Promise.allSettled([...files.values()].map((file) => file[Symbol.asyncDispose]()));
}
