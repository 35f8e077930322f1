/**
 * What this pod restored: for each file the digest it came with, and what its metadata was right after. It tells a
 * file that was restored and rewritten since from one that this pod made by itself. A record that is lost, torn or
 * another pod's means only that nothing is known.
 */
import { sha256Hex } from "./crypto.ts";
import * as v from "valibot";
import { sweepUnfinished } from "./cleanup.ts";
import type { CacheKey } from "./key.ts";
import { decodeRecord, encodeRecord, type RestoredFiles } from "./restored_record.ts";
import type { FileSystem, Random } from "./system.ts";

/** One cache of one store. */
export interface Cache {
  readonly storeId: string;
  readonly key: CacheKey;
}

/** What a record is about: a cache, and the directories that it was restored to. */
export interface RecordSubject extends Cache {
  readonly roots: readonly { readonly name: string; readonly dir: string }[];
}

const suspectsSchema = v.strictObject({ format: v.literal(1), contents: v.array(v.string()) });

const seenStoreSchema = v.strictObject({
  format: v.literal(1),
  subject: v.string(),
  store_id: v.string(),
});

const seenSchema = v.strictObject({
  format: v.literal(1),
  subject: v.string(),
  n: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
});

/** Each is superseded by the next save. */
const maxSuspects = 20;

/** A record is written within moments. */
const unfinishedRecordMs = 60 * 60 * 1000;

const recordMode = 0o600;
const recordPrefix = "restored-";
/** Of what signed generations were seen, and in which store. */
const seenPrefix = "signed-";
const seenStorePrefix = `${seenPrefix}store-`;
const suspectsName = "suspects.json";
const unfinishedSuffix = ".tmp";

/** This pod's own state, in a directory that nobody else writes to. */
export class PodState {
  readonly #fs: FileSystem;
  readonly #random: Random;
  readonly #dir: string;

  constructor(world: { fs: FileSystem; random: Random }, dir: string) {
    this.#fs = world.fs;
    this.#random = world.random;
    this.#dir = dir;
  }

  /** What was restored of this cache into these directories; empty where nothing is known. */
  async restored(subject: RecordSubject): Promise<RestoredFiles> {
    try {
      return decodeRecord(await this.#read(fileNameOf(subject)), describe(subject)) ?? new Map();
    } catch {
      return new Map();
    }
  }

  /**
   * Adds to what was restored. Of two loads at once the later one's record stays: what is not in it counts as this
   * pod's own files.
   * @throws where this pod's disk fails.
   */
  async noteRestored(subject: RecordSubject, files: RestoredFiles): Promise<void> {
    const known = await this.restored(subject);
    const all = known.size === 0 ? files : new Map([...known, ...files]);
    await this.#write(fileNameOf(subject), encodeRecord(describe(subject), all));
  }

  /** What is suspect on this pod: content IDs. */
  async suspects(): Promise<ReadonlySet<string>> {
    try {
      const parsed = v.safeParse(suspectsSchema, JSON.parse(await this.#read(suspectsName)));
      return new Set(parsed.success ? parsed.output.contents : []);
    } catch {
      return new Set();
    }
  }

  /** For a store that cannot be written to. The newest few are kept. @throws where this pod's disk fails. */
  async noteSuspect(content: string): Promise<void> {
    const others = [...await this.suspects()].filter((known) => known !== content);
    const contents = [...others, content].slice(-maxSuspects);
    await this.#write(suspectsName, JSON.stringify({ format: 1, contents }));
  }

  /** The highest number of a trusted generation of this cache that this pod has seen; 0 where it has seen none. */
  async newestSeen(cache: Cache): Promise<number> {
    try {
      const parsed = v.safeParse(seenSchema, JSON.parse(await this.#read(seenNameOf(cache))));
      return parsed.success && parsed.output.subject === describeCache(cache) ? parsed.output.n : 0;
    } catch {
      return 0;
    }
  }

  /** Remembers it, if it is the highest. @throws where this pod's disk fails. */
  async noteSeen(cache: Cache, n: number): Promise<void> {
    if (n <= await this.newestSeen(cache)) return;
    await this.#write(seenNameOf(cache), JSON.stringify({ format: 1, subject: describeCache(cache), n }));
  }

  /** The file that says so, for people. */
  placeOfSeen(cache: Cache): string {
    return `${this.#dir}/${seenNameOf(cache)}`;
  }

  /** The ID of the store in whose directory this pod has seen a trusted generation; undefined where it has seen none. */
  async storeSeen(storeDir: string): Promise<string | undefined> {
    try {
      const parsed = v.safeParse(seenStoreSchema, JSON.parse(await this.#read(seenStoreNameOf(storeDir))));
      return parsed.success && parsed.output.subject === storeDir ? parsed.output.store_id : undefined;
    } catch {
      return undefined;
    }
  }

  /** Remembers it, unless one is remembered. @throws where this pod's disk fails. */
  async noteStore(storeDir: string, storeId: string): Promise<void> {
    if (await this.storeSeen(storeDir) !== undefined) return;
    const record = { format: 1, subject: storeDir, store_id: storeId };
    await this.#write(seenStoreNameOf(storeDir), JSON.stringify(record));
  }

  /** The file that says so, for people. */
  placeOfStore(storeDir: string): string {
    return `${this.#dir}/${seenStoreNameOf(storeDir)}`;
  }

  /** Nothing is known of what was restored any more. @throws where this pod's disk fails. */
  async forget(): Promise<void> {
    for (const { name } of await this.#fs.list(this.#dir)) {
      if (name.startsWith(recordPrefix)) await this.#fs.unlink(`${this.#dir}/${name}`);
    }
  }

  async #read(name: string): Promise<string> {
    const file = await this.#fs.open(`${this.#dir}/${name}`, "r");
    try {
      const bytes = new Uint8Array((await file.stat()).size);
      for (let filled = 0; filled < bytes.length;) {
        const count = await file.read(bytes.subarray(filled), filled);
        if (count === 0) break;
        filled += count;
      }
      return new TextDecoder().decode(bytes);
    } finally {
      await file.close();
    }
  }

  /** Whole or not at all. What a load that was killed here has left goes. */
  async #write(name: string, text: string): Promise<void> {
    const freshName = () => `${name}.${this.#random.hex(8)}${unfinishedSuffix}`;
    const temporary = `${this.#dir}/${freshName()}`;
    const file = await this.#fs.open(temporary, "wx");
    try {
      try {
        await file.chmod(recordMode);
        await file.append(new TextEncoder().encode(text));
      } finally {
        await file.close();
      }
      await sweepUnfinished(this.#fs, {
        dir: this.#dir,
        isUnfinished: (found) =>
          [recordPrefix, seenPrefix].some((prefix) => found.startsWith(prefix)) &&
          found.endsWith(unfinishedSuffix),
        fresh: temporary,
        maxAgeMs: unfinishedRecordMs,
        awayName: freshName,
      });
      await this.#fs.rename(temporary, `${this.#dir}/${name}`);
    } catch (error) {
      await this.#fs.unlink(temporary).catch(() => {});
      throw error;
    }
  }
}

function describe({ storeId, key, roots }: RecordSubject): string {
  return JSON.stringify([storeId, key, roots.map(({ name, dir }) => [name, dir])]);
}

function describeCache({ storeId, key }: Cache): string {
  return JSON.stringify([storeId, key]);
}

function fileNameOf(subject: RecordSubject): string {
  return `${recordPrefix}${digestOf(describe(subject))}.json`;
}

function seenNameOf(cache: Cache): string {
  return `${seenPrefix}${digestOf(describeCache(cache))}.json`;
}

function seenStoreNameOf(storeDir: string): string {
  return `${seenStorePrefix}${digestOf(storeDir)}.json`;
}

function digestOf(text: string): string {
  return sha256Hex(text).slice(0, 32);
}
