/** Save: what this pod has and the store has not becomes the next generation. */
import { deadStagingMs, deadUploadMs } from "./ages.ts";
import { type Base, BaseFinder } from "./base.ts";
import { mayBeNamed, putNext, storedBytes } from "./commit.ts";
import { compact } from "./compaction.ts";
import { type AddedFile, Comparison } from "./comparison.ts";
import { whyNothingIsSaved } from "./config.ts";
import { CacheError, messageOf } from "./errors.ts";
import { contentId, type Manifest } from "./manifest.ts";
import { readMarks } from "./marks.ts";
import type { Operation, SaveOutcome } from "./operation.ts";
import { movingBack } from "./moving_house.ts";
import { type NewLayer, packTree } from "./pack_tree.ts";
import { checkRollback } from "./rollback.ts";
import { rootPaths } from "./roots.ts";
import { sweepStagings } from "./staging.ts";
import type { Store } from "./store.ts";
import { formatBytes } from "./text.ts";
import { type LocalFile, walkTree } from "./tree.ts";
import { Turn } from "./turn.ts";

const bytesPerMb = 1024 * 1024;

/** After a lost race the next attempt waits up to this long, so that many savers do not march in step. */
const jitterMs = 50;

/** A share that fails so often in a row is not asked again by this save. */
const maxFailures = 3;

/**
 * Commits every local file whose path the head does not have, and restored ones that were rewritten since. A path that
 * the store has is otherwise kept as the store has it: replicas that replaced each other's equals would grow the store
 * for ever. SUCCESS is only ever what a fresh look at the store shows.
 * @param openStore is called once there is something to save.
 * @throws {CacheError} with the store as readers saw it before.
 */
export async function save(operation: Operation, openStore: () => Promise<Store>): Promise<SaveOutcome> {
  const reason = whyNothingIsSaved(operation.config);
  if (reason !== undefined) return { status: "SKIPPED", reason };
  const { system } = operation;
  for (const { dir } of operation.roots) {
    await sweepStagings(system, dir, deadStagingMs(operation.config));
  }
  const tree = await walkTree(system.disk, operation.roots);
  for (const text of tree.notices) operation.notice(text);
  if (tree.files.size === 0) return { status: "SKIPPED", reason: "there is nothing on this pod to save" };
  const store = await openStore();
  const { key, roots } = operation;
  const restored = await operation.state?.restored({ storeId: store.id, key, roots }) ?? new Map();
  await using saver = new Saver(operation, store, {
    local: [...tree.files.values()],
    comparison: new Comparison(operation, restored),
  });
  return await saver.run();
}

/** What one attempt came to. */
type Attempt =
  | { readonly kind: "ended"; readonly outcome: SaveOutcome }
  /** Whatever was done, a fresh look comes next: at once, or after a moment. */
  | { readonly kind: "again" | "lost" };

const again: Attempt = { kind: "again" };

/** One save: looks at the store, does the one thing that is due, and looks again. */
class Saver implements AsyncDisposable {
  readonly #operation: Operation;
  readonly #store: Store;
  readonly #local: readonly LocalFile[];
  readonly #comparison: Comparison;
  readonly #bases: BaseFinder;
  readonly #turn: Turn;
  readonly #deadlineMs: number;
  /** Local files that may still be saved by this run. */
  #candidates: readonly LocalFile[];
  /** The layer that this run has published. */
  #mine: NewLayer | undefined;
  /** A put of this run has won its number. */
  #hasWon = false;

  constructor(
    operation: Operation,
    store: Store,
    { local, comparison }: { local: readonly LocalFile[]; comparison: Comparison },
  ) {
    this.#operation = operation;
    this.#store = store;
    this.#local = local;
    this.#candidates = local;
    this.#comparison = comparison;
    this.#bases = new BaseFinder(operation, store);
    this.#turn = new Turn(operation, store);
    this.#deadlineMs = operation.system.clock.monotonicMs() + operation.config.saveTimeoutS * 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn[Symbol.asyncDispose]();
  }

  async run(): Promise<SaveOutcome> {
    const { clock, random } = this.#operation.system;
    await this.#store.sweep(this.#operation.key, deadUploadMs(this.#operation.config));
    for (let failures = 0;;) {
      this.#operation.signal.throwIfAborted();
      let attempt: Attempt;
      try {
        attempt = await this.#attempt();
        failures = 0;
      } catch (error) {
        // A failed answer may still have had its effect, and a failed flush leaves a layer that is not to be trusted:
        // a fresh look, and a fresh layer.
        if (!isStoreFailure(error) || ++failures >= maxFailures) throw error;
        attempt = { kind: "lost" };
      }
      if (attempt.kind === "ended") return attempt.outcome;
      if (clock.monotonicMs() > this.#deadlineMs) throw this.#contended();
      if (attempt.kind === "lost") await clock.sleep(random.fraction() * jitterMs, this.#operation.signal);
    }
  }

  async #attempt(): Promise<Attempt> {
    const base = await this.#bases.find();
    const newest = base.head.generation?.manifest.n ?? 0;
    if (await checkRollback(this.#operation, this.#store, newest) === "stale") return { kind: "lost" };
    const added = await this.#comparison.addedTo(base, this.#candidates);
    if (this.#isCommitted(base) || (added.length === 0 && base.dropped.length === 0)) {
      return { kind: "ended", outcome: await this.#end(base) };
    }
    if (added.length > 0 && !await this.#hasFitting(base, added)) {
      await requireStoreSpace(this.#operation, this.#store, added);
      if (!await this.#turn.take(this.#deadlineMs)) return again;
      const ended = await this.#pack(base, added);
      if (ended) return ended;
    }
    const answer = await putNext(this.#operation.system, this.#store, {
      key: this.#operation.key,
      head: base.head,
      next: this.#nextOf(base, added.length > 0 ? this.#mine : undefined),
    });
    if (answer === "taken" || this.#hasWon) return { kind: "lost" };
    this.#hasWon = true;
    return again;
  }

  /** The head names this run's layer, or one that was compacted from it. */
  #isCommitted({ head }: Base): boolean {
    const name = this.#mine?.layer.name;
    if (name === undefined) return false;
    return head.generation?.manifest.layers.some((layer) =>
      layer.name === name || layer.replaces?.includes(name)
    ) ?? false;
  }

  /** A layer that this run has published can be committed on another head, if nothing in it is there by now. */
  async #hasFitting(base: Base, added: readonly AddedFile[]): Promise<boolean> {
    const mine = this.#mine;
    if (!mine || mine.replacesAll) return false;
    if (storedBytes(base.layers) + mine.layer.bytes > this.#limitBytes) return false;
    const counts = new Map(added.map((file) => [file.path, file.replacements ?? 0]));
    const isSame = mine.files.length === counts.size &&
      mine.files.every((file) => counts.get(file.path) === (file.replacements ?? 0));
    return isSame && await mayBeNamed(this.#store, this.#operation.key, { name: mine.layer.name, base });
  }

  /** Publishes a layer of what is added. @returns what the attempt came to, where there is nothing to commit. */
  async #pack(base: Base, added: readonly AddedFile[]): Promise<Attempt | undefined> {
    // Whatever this run published before does not fit any more.
    this.#mine = undefined;
    const room = Math.max(this.#limitBytes - storedBytes(base.layers), 0);
    const house = movingBack(this.#operation, base.head.generation?.manifest);
    const packed = await packTree(this.#operation, this.#store, { files: added, maxBytes: room, house });
    if (packed.kind === "nothing") return { kind: "ended", outcome: this.#skipped(base, { leftOut: true }) };
    this.#mine = packed.kind === "published" ? packed : await this.#startOver(base, packed);
    // Whatever would not hold still is for the next save.
    const paths = new Set(this.#mine.files.map((file) => file.path));
    const unpacked = new Set(added.filter((file) => !paths.has(file.path)).map((file) => file.path));
    this.#candidates = this.#candidates.filter((file) => !unpacked.has(file.path));
    return undefined;
  }

  /**
   * A cache that would pass MAX_CACHE_SIZE_MB starts over with this pod's tree alone.
   * @throws {CacheError} `cache_too_large` where that alone is too large, with nothing left in the store.
   */
  async #startOver(base: Base, packed: { bytes: number }): Promise<NewLayer> {
    const limit = this.#limitBytes;
    const alone = base.layers.length === 0
      ? { kind: "too_large" as const, bytes: packed.bytes }
      : await packTree(this.#operation, this.#store, {
        files: this.#candidates,
        maxBytes: limit,
        house: movingBack(this.#operation, base.head.generation?.manifest),
      });
    if (alone.kind === "published") {
      this.#operation.notice("the cache starts over with this pod's files, as MAX_CACHE_SIZE_MB is reached");
      return { ...alone, replacesAll: true };
    }
    const bytes = alone.kind === "too_large" ? alone.bytes : packed.bytes;
    throw new CacheError(
      "cache_too_large",
      `Cannot save ${formatBytes(bytes)} as MAX_CACHE_SIZE_MB is ${this.#operation.config.maxCacheSizeMb} ` +
        `(${formatBytes(limit)}); raise it, and MAX_CACHE_SIZE_CAP_MB if need be`,
    );
  }

  #nextOf(base: Base, mine: NewLayer | undefined) {
    const { environment, originalEnvironment, roots, coldStartS } = this.#operation;
    const own = { ...environment, devices: [...environment.devices] } as Manifest["environment"];
    return {
      layers: [...(mine?.replacesAll ? [] : base.layers), ...(mine ? [mine.layer] : [])],
      environment: originalEnvironment ?? own,
      ...(coldStartS === undefined ? {} : { coldStartS }),
      roots: Object.fromEntries(
        Object.entries(rootPaths(roots)).map(([name, path]) => [name, { path }]),
      ),
    };
  }

  async #end(base: Base): Promise<SaveOutcome> {
    const { generation } = base.head;
    if (!generation || !(this.#hasWon || this.#isCommitted(base))) {
      const leftOut = this.#comparison.leftOut || this.#candidates.length < this.#local.length;
      return this.#skipped(base, { leftOut });
    }
    await this.#tidy(base);
    return {
      status: "SUCCESS",
      generation: generation.manifest.n,
      totals: {
        files: this.#mine?.layer.files ?? 0,
        bytes: this.#mine?.layer.raw_bytes ?? 0,
        storedBytes: storedBytes(generation.manifest.layers),
      },
    };
  }

  /** @param leftOut some of what the store lacks could not be saved, with a notice for each. */
  #skipped({ head }: Base, { leftOut }: { leftOut: boolean }): SaveOutcome {
    const n = head.generation?.manifest.n;
    return {
      status: "SKIPPED",
      ...(n === undefined ? {} : { generation: n }),
      reason: leftOut
        ? "the store has every file but those that were left out: see the warnings"
        : "the store already has every file",
    };
  }

  /** What is saved is saved: a failure here is for the next save to mend. */
  async #tidy(base: Base): Promise<void> {
    try {
      await this.#removeOldMarks(base);
      // Only the one that packs compacts, so that a history is rewritten once and not by every pod.
      if (this.#turn.isPacker) await compact(this.#operation, this.#store);
    } catch (error) {
      if (!this.#operation.signal.aborted) {
        this.#operation.notice(`the history was not tidied: ${messageOf(error)}`);
      }
    }
  }

  /** A bad layer that no head names any more needs no mark, nor does a suspect that is superseded. */
  async #removeOldMarks({ head }: Base): Promise<void> {
    const { key } = this.#operation;
    const named = new Set(head.generation?.manifest.layers.map((layer) => layer.name));
    for (const mark of await readMarks(this.#store, key)) {
      const isOld = mark.kind === "bad_layer"
        ? !named.has(mark.layer)
        : mark.kind === "suspect" && head.generation !== undefined &&
          mark.content !== contentId(head.generation.manifest);
      if (isOld) await this.#store.removeMark(key, mark.name);
    }
  }

  get #limitBytes(): number {
    return this.#operation.config.maxCacheSizeMb * bytesPerMb;
  }

  #contended(): CacheError {
    const { key, config } = this.#operation;
    return new CacheError(
      "contended",
      `Cannot commit to ${key} as other pods kept winning for ${config.saveTimeoutS} s, B10_CACHE_SAVE_TIMEOUT_S; ` +
        "the next save tries again",
    );
  }
}

function isStoreFailure(error: unknown): boolean {
  return error instanceof CacheError && error.code === "store_io";
}

/** Compile caches shrink to a tenth and less; to a quarter at worst, of all that were measured. */
const leastCompression = 4;

/** @throws {CacheError} `no_space` before anything is written. */
async function requireStoreSpace(
  operation: Operation,
  store: Store,
  added: readonly LocalFile[],
): Promise<void> {
  const raw = added.reduce((sum, file) => sum + file.stat.size, 0);
  const needed = Math.max(raw / leastCompression, (operation.config.minStoreSpaceMb ?? 0) * bytesPerMb);
  const free = await store.freeBytes();
  if (free >= needed) return;
  throw new CacheError(
    "no_space",
    `Cannot save ${formatBytes(raw)} as the shared store has ${formatBytes(free)} free and ${
      formatBytes(needed)
    } are ` +
      "needed; remove old caches from the volume or enlarge it",
  );
}
