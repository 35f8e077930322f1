/** The history of one key: numbered generations over any store. */
import { CacheError } from "./errors.ts";
import type { CacheKey } from "./key.ts";
import {
  type Expected,
  type Generation,
  type Layer,
  maxGenerationNumber,
  type ParsedGeneration,
  parseGeneration,
} from "./manifest.ts";
import type { Store } from "./store.ts";

/** What a look at the store showed. */
export interface History {
  /** Every number that is taken, descending: valid generations, and burned ones. */
  readonly numbers: readonly number[];
  /** The number that the next commit tries for: above all that are taken. */
  readonly next: number;
}

/** How many numbers running must be absent before the end of the history is believed. */
const absencesAtTheEnd = 2;

/**
 * Which numbers are taken, now: a listing may be stale on a network file system, so its end is probed by opening.
 */
export async function lookAt(store: Store, key: CacheKey): Promise<History> {
  const numbers = await store.generationNumbers(key);
  let last = numbers.at(-1) ?? 0;
  for (let n = last + 1, absent = 0; absent < absencesAtTheEnd && n <= maxGenerationNumber; n++) {
    if (await store.readGeneration(key, n)) {
      numbers.push(n);
      last = n;
      absent = 0;
    } else absent++;
  }
  return { numbers: numbers.reverse(), next: last + 1 };
}

/** One number of a history, read. */
export type ReadGeneration =
  | { readonly kind: "valid"; readonly n: number; readonly generation: Generation }
  /** Whole, and signed by no key that is trusted here: it counts for nothing, and its number is taken. */
  | ({ readonly kind: "untrusted" } & Untrusted)
  /** Read twice, whole, and not a manifest: the number is burned. */
  | { readonly kind: "burned"; readonly n: number; readonly problem: string }
  /** Pruned between the look and the reading. */
  | { readonly kind: "gone"; readonly n: number };

/** @throws {CacheError} for an I/O error or a newer format: those are never "torn". */
export async function readGeneration(store: Store, key: CacheKey, n: number): Promise<ReadGeneration> {
  const expected: Expected = { storeId: store.id, key, n };
  let wrong: Exclude<ParsedGeneration, { kind: "valid" }> = { kind: "invalid", problem: "" };
  // A network file system can answer once with stale bytes: only what is wrong twice is wrong.
  for (let attempt = 0; attempt < 2; attempt++) {
    const bytes = await store.readGeneration(key, n);
    if (!bytes) return { kind: "gone", n };
    const parsed = parseGeneration(bytes, expected, store.signatures?.trusted);
    if (parsed.kind === "valid") return { kind: "valid", n, generation: parsed.generation };
    wrong = parsed;
  }
  const { problem } = wrong;
  if (wrong.kind === "invalid") return { kind: "burned", n, problem };
  return { kind: "untrusted", n, problem, condemned: wrong.generation.manifest.condemned };
}

/**
 * As `readGeneration`, for those who must not miss one that is there: a network file system remembers for a while that
 * a name was absent.
 * @throws {CacheError} `store_io` where the share lists the number and does not open it.
 */
export async function readStanding(store: Store, key: CacheKey, n: number): Promise<ReadGeneration> {
  for (let look = 1;; look++) {
    const read = await readGeneration(store, key, n);
    if (read.kind !== "gone" || !(await store.generationNumbers(key)).includes(n)) return read;
    if (look >= staleLooks) {
      throw new CacheError(
        "store_io",
        `Cannot read generation ${n} of ${key} although the share lists it; try again`,
      );
    }
  }
}

/** What a commit grows from. */
export interface Head {
  /** The newest valid generation, or undefined where there is none. Where signatures are demanded: the newest trusted. */
  readonly generation: Generation | undefined;
  readonly next: number;
  /** Above it, and not trusted; absent where there are none. */
  readonly passedOver?: readonly Untrusted[];
}

/** All that counts of a generation that is not trusted. */
export interface Untrusted {
  readonly n: number;
  readonly problem: string;
  /** Names of layers. */
  readonly condemned: readonly string[];
}

/**
 * What a commit on this head may not name. What an untrusted generation condemns is not named either: whoever condemned it
 * is about to remove it.
 */
export function condemnedBy({ generation, passedOver = [] }: Omit<Head, "next">): readonly string[] {
  const own = generation?.manifest.condemned ?? [];
  return [...new Set([...own, ...passedOver.flatMap((one) => one.condemned)])];
}

/** The layers of the head that the next generation may name. */
export function carriedOn(head: Omit<Head, "next">): readonly Layer[] {
  const layers = head.generation?.manifest.layers ?? [];
  if (head.passedOver === undefined) return layers;
  const condemned = new Set(condemnedBy(head));
  return layers.filter(({ name }) => !condemned.has(name));
}

/** How often a view of the share that cannot be true is looked at anew. */
const staleLooks = 3;

/**
 * The newest valid generation, and the number that follows all that are taken.
 * @throws {CacheError} `store_io` where the newest number is listed and cannot be opened: no prune removes that one, so
 * this pod's view of the share is stale, and what grew from an older generation would drop the newer ones.
 */
export async function findHead(store: Store, key: CacheKey): Promise<Head> {
  for (let look = 1;; look++) {
    const { numbers, next } = await lookAt(store, key);
    const head = await newestValid(store, key, numbers);
    if (head !== "stale") return { ...head, next };
    if (look >= staleLooks) refuseStaleView(key, numbers);
  }
}

async function newestValid(
  store: Store,
  key: CacheKey,
  numbers: readonly number[],
): Promise<Omit<Head, "next"> | "stale"> {
  const untrusted: Untrusted[] = [];
  const passedOver = () => (untrusted.length > 0 ? { passedOver: untrusted } : {});
  for (const [at, n] of numbers.entries()) {
    if (at >= maxPassedOver) refusePassedOver(key, numbers);
    const read = await readGeneration(store, key, n);
    if (read.kind === "valid") return { generation: read.generation, ...passedOver() };
    if (read.kind === "untrusted") untrusted.push(read);
    if (read.kind === "gone" && at === 0) return "stale";
  }
  return { generation: undefined, ...passedOver() };
}

/**
 * How many numbers that count for nothing are read in search of one that does. Torn writes leave one now and then; whoever
 * puts more there wants to waste readers' time and memory.
 */
export const maxPassedOver = 100;

/** @throws {CacheError} `bad_manifest` */
export function refusePassedOver(key: CacheKey, numbers: readonly number[]): never {
  throw new CacheError(
    "bad_manifest",
    `Cannot use ${key} as none of its newest ${maxPassedOver} generations counts, down to number ${
      numbers[maxPassedOver - 1]
    }: remove those that ` +
      `are not this program's from the key's directory generations/, or start anew with another B10_CACHE_NAMESPACE`,
  );
}

/** @throws {CacheError} `store_io` */
export function refuseStaleView(key: CacheKey, numbers: readonly number[]): never {
  throw new CacheError(
    "store_io",
    `Cannot tell the newest generation of ${key} as the share lists number ${
      numbers[0]
    } and does not open it; try again`,
  );
}

/** @throws {CacheError} `bad_manifest`: numbers are taken, and not one of them is a generation. */
export function refuseBurnedHistory(key: CacheKey, burned: readonly { n: number; problem: string }[]): never {
  const newest = burned[0];
  throw new CacheError(
    "bad_manifest",
    `Cannot load ${key} as none of its generations is valid; generation ${newest?.n}: ${newest?.problem}. ` +
      "The next save starts it anew",
  );
}

/** @throws {CacheError} `untrusted`: there are generations, and not one of them is signed by a key that is trusted. */
export function refuseUntrustedHistory(key: CacheKey, [newest]: readonly Untrusted[]): never {
  throw new CacheError(
    "untrusted",
    `Cannot use ${key} as B10_CACHE_TRUSTED_KEYS_FILE demands a signature and none of its generations has one that ` +
      `counts; generation ${newest?.n}: ${newest?.problem}. The next save that is signed starts it anew`,
  );
}
