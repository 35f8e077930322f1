/** The store shared by all replicas. Every implementation passes tests/store_contract.ts. */
import type { CacheKey } from "./key.ts";
import type { Signatures } from "./signatures.ts";

/** A thousand replicas that start at once need not all note that they did. */
export const useNoteIntervalMs = 60 * 60 * 1000;

/** More marks of a key are not looked at: a reader that finds so many adds none. */
export const maxMarks = 1_000;

/** What is larger is no mark. */
export const maxMarkBytes = 64 * 1024;

/**
 * Promises of every store:
 * - what was put is immutable, and visible to a reader either whole or not at all;
 * - of several puts of one generation number exactly one wins, on whatever pods they run;
 * - reading takes no lock and writes nothing.
 * Every method throws a CacheError `store_io` where the store fails: that is never the same as "absent".
 * Times of things in a store are told by the store's own clock, in ms since 1970: compare them with `nowMs`, never
 * with a machine's clock.
 */
export interface Store {
  /** 128 bits, hex: made with the store, so that a generation of another store is told apart. */
  readonly id: string;
  /** How this pod signs and judges its generations: pod_store.ts adds it. Without it nothing is signed or demanded. */
  readonly signatures?: Signatures;
  /** The keys that have a place in the store, sorted. */
  keys(): Promise<CacheKey[]>;
  /** The numbers that a listing shows, ascending. A listing may be stale: some may be missing, some gone. */
  generationNumbers(key: CacheKey): Promise<number[]>;
  /** All bytes of a generation file, or undefined where that number is not taken. */
  readGeneration(key: CacheKey, n: number): Promise<Uint8Array | undefined>;
  /** When that number was put, or undefined where it is not taken. */
  generationMadeMs(key: CacheKey, n: number): Promise<number | undefined>;
  /** Puts a generation file, unless that number is taken already. After a throw either may be the case. */
  putGeneration(key: CacheKey, n: number, bytes: Uint8Array): Promise<"put" | "taken">;
  /** Removes these numbers, one after the other, and returns once they stay removed. One that is gone is as good. */
  removeGenerations(key: CacheKey, numbers: readonly number[]): Promise<void>;
  /** Every layer that is there, whether a generation names it or not. */
  layers(key: CacheKey): Promise<StoredLayer[]>;
  /** Opens a layer for reading, or undefined where it is not there. */
  openLayer(key: CacheKey, name: string): Promise<LayerFile | undefined>;
  /** Begins a new layer. Unless it is published it is gone once disposed of. */
  beginLayer(key: CacheKey): Promise<LayerUpload>;
  /** Removes a layer. One that is gone is as good. */
  removeLayer(key: CacheKey, name: string): Promise<void>;
  /** What readers and pruners noted about the cache; `maxMarks` of them at most. */
  marks(key: CacheKey): Promise<StoredMark[]>;
  /** Adds a mark, under a name that it never shares. */
  putMark(key: CacheKey, bytes: Uint8Array): Promise<void>;
  /** Removes a mark. One that is gone is as good. */
  removeMark(key: CacheKey, name: string): Promise<void>;
  /**
   * Removes unfinished uploads that are older than `maxAgeMs`, which is longer than any saver lives. Best effort: a
   * store that cannot be swept is as good.
   */
  sweep(key: CacheKey, maxAgeMs: number): Promise<void>;
  /** Notes that the cache was used, at most once an hour. Best effort: a store that cannot be written to is as good. */
  noteUse(key: CacheKey): Promise<void>;
  /** When a cache was last used, or undefined where no use was ever noted. */
  lastUseMs(key: CacheKey): Promise<number | undefined>;
  /** The time by the store's own clock. It is found out by writing something, which does not stay. */
  nowMs(key: CacheKey): Promise<number>;
  /** Free bytes, as far as the store can tell. */
  freeBytes(): Promise<number>;
  /** Who packs, and how many save: advice among savers, on which no data depends. */
  readonly leases: Leases;
}

export interface StoredLayer {
  readonly name: string;
  readonly bytes: number;
  readonly madeMs: number;
}

export interface StoredMark {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly madeMs: number;
}

export interface LayerFile extends AsyncDisposable {
  readonly bytes: number;
  /**
   * Reads exactly `length` bytes from `offset`, into memory that is the caller's alone.
   * @throws {CacheError} `bad_layer` where the file ends before.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface LayerUpload extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the layer durable and visible. @returns its name: the SHA-256 of what was written, and a fresh nonce. */
  publish(): Promise<string>;
}

/** What a lease is for: packing one key, or one of the places of those that save at once in the whole store. */
export type LeasePlace =
  | { readonly kind: "pack"; readonly key: CacheKey }
  | { readonly kind: "save"; readonly number: number };

/**
 * Leases of one holder at a time. A holder shows that it lives by changing the lease's content; lib/lock.ts judges by
 * that alone. Whoever took a lease for dead by mistake did no harm, as no data depends on one.
 */
export interface Leases {
  /** Takes the place if it is free. @param holder who it is, in a line, for people. */
  take(place: LeasePlace, holder: string): Promise<HeldLease | undefined>;
  /** What the lease says now, or undefined where the place is free. */
  look(place: LeasePlace): Promise<string | undefined>;
  /** Frees the place if what it says is still `content`. */
  free(place: LeasePlace, content: string): Promise<void>;
}

/** Disposing of it frees the place, if it is still this holder's. */
export interface HeldLease extends AsyncDisposable {
  /** Changes the content. Does nothing to a lease that has become another's. */
  beat(): Promise<void>;
}
