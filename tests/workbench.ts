/** Savers and loaders of one cache, for the tests of what becomes of its history. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { findHead, readGeneration } from "../lib/history.ts";
import type { CacheKey } from "../lib/key.ts";
import { load } from "../lib/load.ts";
import { encodeGeneration, type Generation, type Layer, type Manifest } from "../lib/manifest.ts";
import type { SaveOutcome } from "../lib/operation.ts";
import { save } from "../lib/save.ts";
import type { Store } from "../lib/store.ts";
import {
  inMemory,
  intercept,
  key,
  makePod,
  newWorld,
  type Pod,
  type PodOptions,
  readFiles,
  rootName,
  type StoreKind,
  type TestStore,
  withDirectory,
  type World,
  writeFiles,
} from "./pods.ts";

/** Contents by path. */
export type Files = Readonly<Record<string, string>>;

export interface Bench {
  readonly world: World;
  readonly base: string;
  readonly shared: TestStore;
  readonly store: Store;
  /** A pod whose root lies at `name`, with these files more. */
  readonly pod: (name: string, files?: Files, options?: PodOptions) => Pod;
}

export function withBench(act: (bench: Bench) => Promise<void>, kind: StoreKind = inMemory): Promise<void> {
  return withDirectory(async (base) => {
    const world = newWorld(kind.files);
    const shared = await kind.make(world, base);
    await act({ world, base, shared, store: shared.store, pod: podsIn(world, base) });
  });
}

/** Makes pods whose roots lie below `base`. */
export function podsIn(world: World, base: string): Bench["pod"] {
  return (name, files = {}, options = {}) => {
    const made = makePod(world, path.join(base, name), options);
    writeFiles(made.dir, files);
    return made;
  };
}

export function saveTo(store: Store, pod: Pod): Promise<SaveOutcome> {
  return save(pod, () => Promise.resolve(store));
}

/** Saves one layer after the other, each of the next files. @returns the head's layers. */
export async function saveLayers(
  { store, pod }: Pick<Bench, "store" | "pod">,
  layers: readonly Files[],
): Promise<readonly Layer[]> {
  for (const [at, files] of layers.entries()) {
    const saver = pod(`saver of layer ${at + 1}`, files);
    const { status } = await saveTo(store, saver);
    assert.equal(status, "SUCCESS");
    fs.rmSync(saver.dir, { recursive: true });
  }
  return (await headOf(store)).manifest.layers;
}

export async function headOf(store: Store): Promise<Generation> {
  return (await findHead(store, key)).generation ?? assert.fail("there is no generation");
}

/** The names of the head's layers, in order. */
export async function layerNames(store: Store): Promise<string[]> {
  return (await headOf(store)).manifest.layers.map(({ name }) => name);
}

export function manifestOf(store: Store, n: number): Promise<Manifest> {
  return manifestAt(store, key, n);
}

/** As `manifestOf`, of another key. */
export async function manifestAt(store: Store, at: CacheKey, n: number): Promise<Manifest> {
  const read = await readGeneration(store, at, n);
  return read.kind === "valid" ? read.generation.manifest : assert.fail(read.kind);
}

/** Puts the next generation by hand: the head's, but for what is changed about it. */
export async function putChanged(store: Store, change: (head: Manifest) => Partial<Manifest>): Promise<void> {
  const { manifest, sha256 } = await headOf(store);
  const { next } = await findHead(store, key);
  const changed = { ...manifest, n: next, parent: { n: manifest.n, sha256 }, ...change(manifest) };
  assert.equal(await store.putGeneration(key, next, encodeGeneration(changed).bytes), "put");
}

/** What a fresh pod gets. */
export async function loaded({ store, pod }: Pick<Bench, "store" | "pod">): Promise<Record<string, string>> {
  const fresh = pod("fresh");
  await load(fresh, store);
  const files = readFiles(fresh.dir);
  fs.rmSync(fresh.dir, { recursive: true });
  return files;
}

/** The paths of `files` as they are in the store. */
export function stored(files: Files): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([file, content]) => [`${rootName}/${file}`, content]));
}

/** The store, in which each attempt to put a generation is first told to `before`, with the manifest. */
export function watchPuts(
  store: Store,
  before: (manifest: Manifest, attempt: number) => Promise<unknown>,
): Store {
  let attempt = 0;
  return {
    ...store,
    putGeneration: async (key, n, bytes) => {
      const [line = ""] = Buffer.from(bytes).toString().split("\n");
      await before(JSON.parse(line), ++attempt);
      return await store.putGeneration(key, n, bytes);
    },
  };
}

export function countCalls(store: Store): { store: Store; count: (name: string) => number } {
  const names: string[] = [];
  const counted = intercept(store, ({ name }) => names.push(name));
  return { store: counted, count: (name) => names.filter((called) => called === name).length };
}
