/** Caches of the native format from bytes, right ones and wrong ones: layers, their indexes, the generation. */
import * as fs from "node:fs";
import * as path from "node:path";
import { readIndex } from "../../lib/archive.ts";
import { skippableFrame } from "../../lib/archive/frames.ts";
import type { IndexedFile, LayerIndex } from "../../lib/archive/index.ts";
import { compressFrame } from "../../lib/archive/zstd.ts";
import type { Layer, Manifest } from "../../lib/manifest.ts";
import type { Store } from "../../lib/store.ts";
import {
  layerFile,
  type LayerInMemory,
  pack,
  sha256Of,
  sourceFile,
  withIndexFrame,
} from "../archive/examples.ts";
import { environment, key } from "../pods.ts";
import { sealed } from "../store/examples.ts";

export interface HostileCache {
  readonly layers: readonly LayerInMemory[];
  /** What its manifest says instead; any JSON value. */
  readonly manifest?: (right: Manifest) => unknown;
  /** What its file holds instead. */
  readonly generation?: (right: Uint8Array) => Uint8Array;
}

export interface Wrong {
  /** What the index says instead: of any shape. */
  readonly index?: (right: LayerIndex) => unknown;
  /** The index's JSON instead. */
  readonly indexJson?: (right: Uint8Array) => Uint8Array;
  /** The zstd frame of the index instead. */
  readonly indexFrame?: (right: Uint8Array) => Uint8Array;
  /** The stored bytes of all frames instead; the index follows with their size and digest where there is one. */
  readonly frames?: (right: Uint8Array) => Uint8Array | Promise<Uint8Array>;
  /** What the manifest claims of the layer instead. */
  readonly claims?: (right: Layer) => Partial<Layer>;
}

/** One layer of these files, packed as a save does it, and then made wrong. Every digest is right all the same. */
export async function hostileLayer(
  files: Readonly<Record<string, string | Uint8Array>>,
  wrong: Wrong = {},
): Promise<LayerInMemory> {
  const packed = await pack(Object.entries(files).map(([file, content]) => sourceFile(file, content)));
  const right = await readIndex(layerFile(packed.bytes), packed.layer);
  const frames = packed.bytes.subarray(0, packed.layer.index.offset);
  const stored = await wrong.frames?.(frames) ?? frames;
  const [first] = right.frames;
  const index: LayerIndex = wrong.frames && first
    ? { ...right, frames: [{ ...first, bytes: stored.length, sha256: sha256Of(stored) }] }
    : right;
  const said: unknown = wrong.index?.(structuredClone(index)) ?? index;
  const text = Buffer.from(JSON.stringify(said));
  const compressed = await compressFrame(wrong.indexJson?.(text) ?? text);
  const indexFrame = skippableFrame(wrong.indexFrame?.(compressed) ?? compressed);
  const made = withIndexFrame(stored, indexFrame, filesOf(said));
  return { ...made, layer: { ...made.layer, ...wrong.claims?.(made.layer) } };
}

/** Those that have a size: the manifest's sums are right wherever they can be. */
function filesOf(said: unknown): { size: number }[] {
  const files: unknown = Reflect.get(Object(said), "files");
  if (!Array.isArray(files)) return [];
  return files.filter((file: unknown): file is { size: number } =>
    Number.isSafeInteger(Reflect.get(Object(file), "size")) && Number(Reflect.get(Object(file), "size")) >= 0
  );
}

export async function oneLayer(
  files: Readonly<Record<string, string | Uint8Array>>,
  wrong: Wrong = {},
): Promise<HostileCache> {
  return { layers: [await hostileLayer(files, wrong)] };
}

/** Changes the first file's row. */
export function firstFile(change: Readonly<Record<string, unknown>>): Wrong {
  return {
    index: (index) => ({
      ...index,
      files: index.files.map((file, at) => at === 0 ? { ...file, ...change } : file),
    }),
  };
}

export function firstFrame(change: Readonly<Record<string, unknown>>): Wrong {
  return {
    index: (index) => ({
      ...index,
      frames: index.frames.map((each, at) => at === 0 ? { ...each, ...change } : each),
    }),
  };
}

/** So many more rows like the first, each with a path of its own. */
export function twins(count: number): (index: LayerIndex) => LayerIndex {
  return (index) => {
    const [first] = index.files;
    const more = first
      ? Array.from({ length: count }, (_, at): IndexedFile => ({ ...first, path: `${first.path}${at}` }))
      : [];
    return { ...index, files: [...index.files, ...more] };
  };
}

function manifestOf(cache: HostileCache, { storeId, n }: { storeId: string; n: number }): Manifest {
  return {
    format: 1,
    store_id: storeId,
    key,
    environment: { accelerator: environment.accelerator, torch: environment.torch },
    n,
    parent: null,
    nonce: n.toString(16).padStart(32, "0"),
    created_at: "2026-01-02T03:04:05.678Z",
    written_by: "somebody else",
    roots: { inductor: { path: "/tmp/torchinductor_root" } },
    layers: cache.layers.map(({ layer }) => layer),
    condemned: [],
    cold_start: null,
  };
}

function generationOf(cache: HostileCache, about: { storeId: string; n: number }): Uint8Array {
  const right = manifestOf(cache, about);
  const bytes = sealed(JSON.stringify(cache.manifest ? cache.manifest(right) : right));
  return cache.generation?.(bytes) ?? bytes;
}

/** Puts a cache into a store in the directory `storeDir`, as whoever can write to the share can. */
export function plant(cache: HostileCache, { store, storeDir, n = 1 }: {
  store: Pick<Store, "id">;
  storeDir: string;
  n?: number;
}): void {
  const below = path.join(storeDir, "native", key);
  for (const dir of ["generations", "layers", "incoming", "marks"]) {
    fs.mkdirSync(path.join(below, dir), { recursive: true });
  }
  for (const { layer, bytes } of cache.layers) {
    fs.writeFileSync(path.join(below, "layers", layer.name), bytes);
  }
  const name = `${String(n).padStart(10, "0")}.json`;
  fs.writeFileSync(path.join(below, "generations", name), generationOf(cache, { storeId: store.id, n }));
}

/** The same cache as `export` would write it; undefined for one that no export can be. */
export function bundleOf(cache: HostileCache): Uint8Array | undefined {
  const [only, ...others] = cache.layers;
  if (!only || others.length > 0) return undefined;
  const generation = generationOf(cache, { storeId: "0".repeat(32), n: 1 });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(generation.length);
  return Buffer.concat([
    only.bytes,
    skippableFrame(Buffer.concat([generation, length, Buffer.from("b10cache")])),
  ]);
}
