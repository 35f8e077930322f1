/** The command `list`: every cache in the store. */
import { messageOf } from "../errors.ts";
import type { FileFormat } from "../export.ts";
import { foreignProgram } from "../foreign/archive_name.ts";
import { listArchives, type StoredArchive } from "../foreign/shelf.ts";
import { findHead } from "../history.ts";
import type { CacheKey } from "../key.ts";
import type { Manifest } from "../manifest.ts";
import { describeEnvironment } from "../status.ts";
import type { Store } from "../store.ts";
import { countOf, formatBytes, formatDuration, quote } from "../text.ts";
import { bounded } from "./bounded.ts";
import { type CommandContext, printLines } from "./context.ts";
import { openFencedStore } from "./fenced_store.ts";

/** One cache, as `--json` shows it. */
interface ListedCache {
  /** Which program's it is. */
  readonly kind: FileFormat;
  /** Of that program. */
  readonly key: string;
  /** The name of b10-transfer's archive. */
  readonly file?: string;
  readonly environment: Readonly<Record<string, string | number | boolean | null | readonly string[]>>;
  /** null where no generation is valid: `problem` says why. */
  readonly generation: number | null;
  readonly layers: number;
  readonly files: number;
  readonly bytes: number;
  readonly stored_bytes: number;
  readonly created_at: string | null;
  readonly age_s: number | null;
  readonly last_used_at: string | null;
  /** IDs of the keys that signed the generation: verified where keys are trusted, else as it says itself. */
  readonly signed_by: readonly string[];
  readonly problem: string | null;
}

export function listCommand(context: CommandContext): Promise<number> {
  const { system } = context;
  return bounded(context, {
    operation: "list",
    deadline: "load",
    act: async ({ elapsedMs }) => {
      const { store, storeDir } = await openFencedStore(context);
      const caches = [
        ...store ? await listCaches(store, system.clock.nowMs()) : [],
        ...(await listArchives(system.fs, storeDir)).map((archive) =>
          describeArchive(archive, system.clock.nowMs())
        ),
      ];
      if (!context.flags.json) {
        for (const cache of caches) printLines(system, describeCache(cache));
      }
      return {
        operation: "list",
        status: "SUCCESS",
        caches: caches.map((cache) => ({ ...cache })),
        elapsed_ms: Math.round(elapsedMs()),
        message: `${countOf(caches.length, "cache")} in ${storeDir}`,
      };
    },
  });
}

async function listCaches(store: Store, nowMs: number): Promise<ListedCache[]> {
  const caches: ListedCache[] = [];
  for (const key of await store.keys()) caches.push(await describeKey(store, key, nowMs));
  return caches;
}

async function describeKey(store: Store, key: CacheKey, nowMs: number): Promise<ListedCache> {
  const unknown = { ...nothingKnown, kind: "native" as const, key };
  try {
    const { generation, passedOver = [] } = await findHead(store, key);
    const [newest] = passedOver;
    if (!generation) {
      const problem = newest
        ? `it has no trusted generation; generation ${newest.n}: ${newest.problem}`
        : "it has no valid generation";
      return { ...unknown, problem };
    }
    const { manifest } = generation;
    const usedMs = await store.lastUseMs(key);
    const savedMs = await lastSaveMs(store, key, manifest);
    return {
      kind: "native",
      key,
      environment: manifest.environment,
      generation: manifest.n,
      layers: manifest.layers.length,
      files: manifest.layers.reduce((sum, layer) => sum + layer.files, 0),
      bytes: manifest.layers.reduce((sum, layer) => sum + layer.raw_bytes, 0),
      stored_bytes: manifest.layers.reduce((sum, layer) => sum + layer.bytes, 0),
      created_at: manifest.created_at,
      age_s: Math.round((nowMs - savedMs) / 1000),
      last_used_at: usedMs === undefined ? null : new Date(usedMs).toISOString(),
      signed_by: generation.signedBy ?? [],
      problem: null,
    };
  } catch (error) {
    return { ...unknown, problem: messageOf(error) };
  }
}

const nothingKnown = {
  environment: {},
  generation: null,
  layers: 0,
  files: 0,
  bytes: 0,
  stored_bytes: 0,
  created_at: null,
  age_s: null,
  last_used_at: null,
  signed_by: [],
} as const;

/** Nothing of it is read: its name, size and time are all that is known. */
function describeArchive({ name, key, bytes, madeMs }: StoredArchive, nowMs: number): ListedCache {
  return {
    ...nothingKnown,
    kind: foreignProgram,
    key,
    file: name,
    stored_bytes: bytes,
    created_at: new Date(madeMs).toISOString(),
    age_s: Math.round((nowMs - madeMs) / 1000),
    problem: null,
  };
}

/** When files were last added: a prune makes a generation as well, and no layer. */
async function lastSaveMs(store: Store, key: CacheKey, { layers, created_at }: Manifest): Promise<number> {
  const named = new Set(layers.map((layer) => layer.name));
  const stored = (await store.layers(key)).filter(({ name }) => named.has(name));
  return stored.length > 0 ? Math.max(...stored.map(({ madeMs }) => madeMs)) : Date.parse(created_at);
}

function describeCache(cache: ListedCache): string {
  if (cache.file !== undefined) {
    return `${cache.file}\n  ${cache.kind}'s archive, ${formatBytes(cache.stored_bytes)}\n` +
      `  saved ${formatDuration((cache.age_s ?? 0) * 1000)} ago`;
  }
  if (cache.problem !== null) return `${cache.key}\n  unusable: ${cache.problem}`;
  if (cache.layers === 0) return `${cache.key}\n  evicted, in generation ${cache.generation}`;
  return [
    cache.key,
    `  ${describeEnvironment(cache.environment)}`,
    `  generation ${cache.generation}, ${countOf(cache.layers, "layer")}, ${countOf(cache.files, "file")}, ` +
    `${formatBytes(cache.bytes)} stored in ${formatBytes(cache.stored_bytes)}` +
    (cache.signed_by.length === 0 ? "" : `, signed by ${cache.signed_by.map(quote).join(", ")}`),
    `  saved ${formatDuration((cache.age_s ?? 0) * 1000)} ago, ` +
    (cache.last_used_at === null ? "never restored" : `last restored about ${cache.last_used_at}`),
  ].join("\n");
}
