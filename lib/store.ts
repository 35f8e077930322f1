/** The store shared by all replicas. Every implementation passes tests/store_contract.ts. */
import type { CacheKey } from "./key.ts";

/** A thousand replicas that start at once need not all note that they did. */
export const useNoteIntervalMs = 60 * 60 * 1000;

/**
 * Promises of every store:
 * - what was put is immutable, and visible to a reader either whole or not at all;
 * - of several puts of one generation number exactly one wins, on whatever pods they run;
 * - reading takes no lock and writes nothing.
 * Every method throws a CacheError `store_io` where the store fails: that is never the same as "absent".
 */
export interface Store {
  /** 128 bits, hex: made with the store, so that a generation of another store is told apart. */
  readonly id: string;
  /** The keys that have a place in the store, sorted. */
  keys(): Promise<CacheKey[]>;
  /** The numbers that a listing shows, ascending. A listing may be stale: some may be missing, some gone. */
  generationNumbers(key: CacheKey): Promise<number[]>;
  /** All bytes of a generation file, or undefined where that number is not taken. */
  readGeneration(key: CacheKey, n: number): Promise<Uint8Array | undefined>;
  /** Puts a generation file, unless that number is taken already. After a throw either may be the case. */
  putGeneration(key: CacheKey, n: number, bytes: Uint8Array): Promise<"put" | "taken">;
  /** Opens a layer for reading, or undefined where it is not there. */
  openLayer(key: CacheKey, name: string): Promise<LayerFile | undefined>;
  /** Begins a new layer. Unless it is published it is gone once disposed of. */
  beginLayer(key: CacheKey): Promise<LayerUpload>;
  /**
   * Removes unfinished uploads that are older than `maxAgeMs`, which is longer than any saver lives. Best effort: a
   * store that cannot be swept is as good.
   */
  sweep(key: CacheKey, maxAgeMs: number): Promise<void>;
  /** Notes that the cache was used, at most once an hour. Best effort: a store that cannot be written to is as good. */
  noteUse(key: CacheKey): Promise<void>;
  /** When a cache was last used, in ms since 1970, or undefined where no use was ever noted. */
  lastUseMs(key: CacheKey): Promise<number | undefined>;
  /** Free bytes, as far as the store can tell. */
  freeBytes(): Promise<number>;
}

export interface LayerFile extends AsyncDisposable {
  readonly bytes: number;
  /** Reads exactly `length` bytes from `offset`. @throws {CacheError} `bad_layer` where the file ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface LayerUpload extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the layer durable and visible. @returns its name: the SHA-256 of what was written, and a fresh nonce. */
  publish(): Promise<string>;
}
