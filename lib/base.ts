/**
 * What a commit grows from: the head's layers, less those that proved damaged, plus intact ones which those had
 * replaced. So the next save heals a cache, and nobody has to delete anything.
 */
import type { Plan } from "./archive.ts";
import { CacheError, isBadLayer } from "./errors.ts";
import { condemnedBy, findHead, type Head, lookAt, readStanding } from "./history.ts";
import { hasLayer, openLayers } from "./layers.ts";
import { contentId, type Generation, type Layer } from "./manifest.ts";
import { type ReadMark, readMarks } from "./marks.ts";
import type { Operation } from "./operation.ts";
import type { Store } from "./store.ts";
import { verifyLayer } from "./verify_layer.ts";

export interface Base {
  readonly head: Head;
  /** To be carried on, in order. */
  readonly layers: readonly Layer[];
  /** What they hold together. */
  readonly plan: Plan;
  /** Names of the head's layers that are damaged or gone, and are not carried on. */
  readonly dropped: readonly string[];
}

/** Finds the base of a commit, as often as it takes, and remembers what it has verified. */
export class BaseFinder {
  readonly #operation: Operation;
  readonly #store: Store;
  /** By layer: whether it was read back whole. */
  readonly #verified = new Map<string, boolean>();
  /** Untrusted generations of which the user was told. */
  readonly #passedOver = new Set<number>();
  #last: Base | undefined;

  constructor(operation: Operation, store: Store) {
    this.#operation = operation;
    this.#store = store;
  }

  /**
   * A fresh look at the store.
   * @throws {CacheError} `store_io` where the share fails: that is never the same as damage.
   */
  async find(): Promise<Base> {
    const head = await findHead(this.#store, this.#operation.key);
    const { generation } = head;
    this.#tellPassedOver(head);
    if (!generation) return { head, layers: [], plan: new Map(), dropped: [] };
    if (contentId(generation.manifest) === this.#operation.replacedSuspect) {
      const dropped = generation.manifest.layers.map(({ name }) => name);
      return { head, layers: [], plan: new Map(), dropped };
    }
    const news = await this.#verifyMarked(generation);
    const known = this.#last;
    const isKnown = known?.head.generation?.sha256 === generation.sha256 &&
      known.head.passedOver?.length === head.passedOver?.length;
    if (isKnown && !news) return { ...known, head };
    this.#last = { head, ...await this.#soundLayers(generation, new Set(condemnedBy(head))) };
    return this.#last;
  }

  /** Once each. */
  #tellPassedOver({ generation, passedOver = [] }: Head): void {
    for (const { n, problem } of passedOver.filter((one) => !this.#passedOver.has(one.n))) {
      this.#passedOver.add(n);
      const from = generation ? `goes on from generation ${generation.manifest.n}` : "starts over";
      this.#operation.notice(`generation ${n} is not trusted: ${problem}; the cache ${from}`);
    }
  }

  /** Reads the layers that a reader found damaged. @returns whether there were some that this run did not know. */
  async #verifyMarked({ manifest }: Generation): Promise<boolean> {
    const marks = (await readMarks(this.#store, this.#operation.key)).filter((mark) =>
      mark.kind === "bad_layer"
    );
    const marked = new Set<string>(marks.map((mark) => mark.layer));
    const suspects = manifest.layers.filter(({ name }) => marked.has(name) && !this.#verified.has(name));
    for (const layer of suspects) {
      if (await this.#isIntact(layer)) await this.#forget(marks.filter((mark) => mark.layer === layer.name));
    }
    return suspects.length > 0;
  }

  /** A mark that proved wrong would make every later save read the layer again. */
  async #forget(marks: readonly ReadMark[]): Promise<void> {
    try {
      for (const { name } of marks) await this.#store.removeMark(this.#operation.key, name);
    } catch {
      // It costs time, no more.
    }
  }

  async #soundLayers(
    generation: Generation,
    condemned: ReadonlySet<string>,
  ): Promise<Omit<Base, "head">> {
    let layers: readonly Layer[] = generation.manifest.layers;
    const dropped: string[] = [];
    const drop = async (name: string, problem: string) => {
      dropped.push(name);
      layers = await this.#without(name, { layers, generation, condemned });
      this.#operation.notice(`layer ${name} is no longer part of the cache: ${problem}`);
    };
    for (const { name } of generation.manifest.layers) {
      if (condemned.has(name)) await drop(name, "a later generation, which is not trusted, condemns it");
      else if (this.#verified.get(name) === false) await drop(name, "it is damaged, as a reader noted");
    }
    const suspected = new Set<string>();
    for (;;) {
      try {
        await using opened = await openLayers(this.#store, this.#operation.key, { layers });
        return { layers, plan: opened.plan, dropped };
      } catch (error) {
        const name = isBadLayer(error) ? error.layer : undefined;
        if (name === undefined || !layers.some((layer) => layer.name === name)) throw error;
        const isFirst = !suspected.has(name);
        suspected.add(name);
        // Only what is wrong twice is wrong: the first answer may have been an old one of the share's.
        if (await this.#opensNow(name) && isFirst) continue;
        await drop(name, error instanceof Error ? error.message : "");
      }
    }
  }

  /**
   * Whether a layer can be opened, once the share has listed what it has: a network file system remembers for a while
   * that a name was absent.
   * @throws {CacheError} `store_io` where it is listed and cannot: this pod's view of the share is stale.
   */
  async #opensNow(name: string): Promise<boolean> {
    const { key } = this.#operation;
    const isListed = (await this.#store.layers(key)).some((layer) => layer.name === name);
    if (await hasLayer(this.#store, key, name)) return true;
    if (!isListed) return false;
    throw new CacheError(
      "store_io",
      `Cannot open layer ${name} of ${key} although the share lists it; try again`,
    );
  }

  /** The layers without one, in whose place come those that it had replaced, where these are intact. */
  async #without(
    name: string,
    { layers, generation, condemned }: {
      layers: readonly Layer[];
      generation: Generation;
      condemned: ReadonlySet<string>;
    },
  ): Promise<Layer[]> {
    const replaced = layers.find((layer) => layer.name === name)?.replaces ?? [];
    const reinstated = replaced.length === 0 ? [] : await this.#intact(replaced, { generation, condemned });
    return layers.flatMap((layer) => (layer.name === name ? reinstated : [layer]));
  }

  /** Those of `names` that may be in a generation again. */
  async #intact(
    names: readonly string[],
    { generation, condemned }: { generation: Generation; condemned: ReadonlySet<string> },
  ): Promise<Layer[]> {
    const records = await this.#recordsOf(new Set(names));
    const inUse = new Set([...condemned, ...generation.manifest.layers.map((layer) => layer.name)]);
    const intact: Layer[] = [];
    for (const name of names) {
      const layer = records.get(name);
      if (layer && !inUse.has(name) && await this.#isIntact(layer)) intact.push(layer);
    }
    return intact;
  }

  /** What older generations say about these layers. */
  async #recordsOf(names: ReadonlySet<string>): Promise<ReadonlyMap<string, Layer>> {
    const { key } = this.#operation;
    const records = new Map<string, Layer>();
    for (const n of (await lookAt(this.#store, key)).numbers) {
      if (records.size === names.size) break;
      const read = await readStanding(this.#store, key, n);
      if (read.kind !== "valid") continue;
      for (const layer of read.generation.manifest.layers) {
        if (names.has(layer.name)) records.set(layer.name, layer);
      }
    }
    return records;
  }

  async #isIntact(layer: Layer): Promise<boolean> {
    const known = this.#verified.get(layer.name);
    if (known !== undefined) return known;
    const intact = await this.#read(layer);
    this.#verified.set(layer.name, intact);
    return intact;
  }

  async #read(layer: Layer): Promise<boolean> {
    const { key, signal } = this.#operation;
    for (let isFirst = true;; isFirst = false) {
      try {
        await verifyLayer(this.#store, key, layer, { signal, onBytes: () => {} });
        return true;
      } catch (error) {
        if (!isBadLayer(error)) throw error;
        if (!await this.#opensNow(layer.name) || !isFirst) return false;
      }
    }
  }
}
