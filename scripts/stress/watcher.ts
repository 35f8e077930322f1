/** Watches the store from beside while it is hammered: what a look shows once must never be different later. */
import { createHash } from "node:crypto";
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { parseKey } from "../../lib/key.ts";
import { type Manifest, parseGeneration } from "../../lib/manifest.ts";
import { openStore } from "../../lib/store/directory.ts";
import { realSystem } from "../../lib/system/real.ts";
import { pause } from "./pause.ts";

const lookEveryMs = 100;

/** A number of the history, as it was first seen. */
interface Seen {
  /** Of all its bytes. */
  readonly digest: string;
  /** Tells without reading whether it may have become another one. */
  stamp: string;
  readonly manifest: Manifest | undefined;
  /** Of what its successor names. */
  readonly sha256: string;
  /** It was there before, and then it was not. */
  gone: boolean;
}

/** One cache's history. */
class Watched {
  readonly seen = new Map<number, Seen>();
  /** Numbers that were removed and came back. */
  readonly returned = new Set<number>();
  readonly problems: string[] = [];
  mostGenerations = 0;
  mostLayers = 0;

  /** Names of the layers that stand for others. */
  get compacted(): ReadonlySet<string> {
    const layers = [...this.seen.values()].flatMap(({ manifest }) => manifest?.layers ?? []);
    return new Set(layers.filter((layer) => layer.replaces !== undefined).map((layer) => layer.name));
  }

  /** A generation names its parent by number and digest: the one that was seen. */
  brokenLinks(): string[] {
    return [...this.seen].flatMap(([n, { manifest }]) => {
      const parent = manifest?.parent;
      const found = parent && this.seen.get(parent.n);
      if (!found || found.sha256 === parent.sha256 || this.returned.has(parent.n)) return [];
      return [`generation ${n} grew from another generation ${parent.n} than the one that was seen`];
    });
  }
}

export class Watcher {
  readonly #nativeDir: string;
  readonly #storeDir: string;
  readonly #caches: ReadonlyMap<string, Watched>;
  readonly #ended = new AbortController();
  #watching: Promise<void> = Promise.resolve();
  #storeId: string | undefined;
  looks = 0;
  /** How many had a place among those that save, at most. */
  mostSavers = 0;

  constructor(storeDir: string, keys: readonly string[]) {
    this.#storeDir = storeDir;
    this.#nativeDir = path.join(storeDir, "native");
    this.#caches = new Map(keys.map((key) => [key, new Watched()]));
  }

  start(): void {
    this.#watching = this.#watch();
  }

  /** After a last look. @throws what a look failed with */
  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#watching;
    await this.#look();
  }

  of(key: string): Watched {
    const watched = this.#caches.get(key);
    if (!watched) throw new Error(`Cannot tell about "${key}" as nobody watched it`);
    return watched;
  }

  async #watch(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      await this.#look();
      await pause(lookEveryMs, this.#ended.signal);
    }
  }

  async #look(): Promise<void> {
    this.looks++;
    const places = (await list(path.join(this.#nativeDir, "leases"))).filter((name) => /^save-/.test(name));
    this.mostSavers = Math.max(this.mostSavers, places.length);
    this.#storeId ??= (await openStore(realSystem(), this.#storeDir))?.id;
    for (const [key, watched] of this.#caches) await this.#lookAt(key, watched);
  }

  async #lookAt(key: string, watched: Watched): Promise<void> {
    const dir = path.join(this.#nativeDir, key, "generations");
    const numbers = new Set((await list(dir)).map((name) => Number.parseInt(name, 10)));
    watched.mostGenerations = Math.max(watched.mostGenerations, numbers.size);
    for (const [n, seen] of watched.seen) if (!numbers.has(n)) seen.gone = true;
    for (const n of numbers) {
      await this.#lookAtNumber(watched, {
        key,
        n,
        file: path.join(dir, `${String(n).padStart(10, "0")}.json`),
      });
    }
  }

  async #lookAtNumber(watched: Watched, { key, n, file }: { key: string; n: number; file: string }) {
    const seen = watched.seen.get(n);
    const found = await read(file, seen?.stamp);
    if (found === "gone") return;
    if (found === "same") {
      // What a listing missed.
      if (seen) seen.gone = false;
    } else if (!seen) {
      const fresh = this.#describe(found, key, n);
      watched.seen.set(n, fresh);
      watched.mostLayers = Math.max(watched.mostLayers, fresh.manifest?.layers.length ?? 0);
      if (!fresh.manifest) watched.problems.push(`generation ${n} was seen, and was not whole`);
    } else {
      if (seen.gone) watched.returned.add(n);
      else if (found.digest !== seen.digest && !watched.returned.has(n)) {
        watched.problems.push(`generation ${n} has become another one`);
      }
      seen.stamp = found.stamp;
      seen.gone = false;
    }
  }

  #describe({ bytes, digest, stamp }: Found, key: string, n: number): Seen {
    const parsed = this.#storeId === undefined
      ? undefined
      : parseGeneration(bytes, { storeId: this.#storeId, key: parseKey(key, "key"), n });
    const generation = parsed?.kind === "valid" ? parsed.generation : undefined;
    return {
      digest,
      stamp,
      manifest: generation?.manifest,
      sha256: generation?.sha256 ?? "",
      gone: false,
    };
  }
}

interface Found {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly stamp: string;
}

/** @returns "same" where it is the one of `stamp` still. */
async function read(file: string, stamp: string | undefined): Promise<Found | "same" | "gone"> {
  try {
    const { ino, size, mtimeNs } = await fs.stat(file, { bigint: true });
    const now = `${ino} ${size} ${mtimeNs}`;
    if (now === stamp) return "same";
    const bytes = await fs.readFile(file);
    return { bytes, digest: createHash("sha256").update(bytes).digest("hex"), stamp: now };
  } catch (error) {
    if (isGone(error)) return "gone";
    throw error;
  }
}

async function list(dir: string): Promise<string[]> {
  try {
    return (await fs.readdir(dir)).filter((name) => name.endsWith(".json"));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
