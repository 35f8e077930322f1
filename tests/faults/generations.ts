/**
 * I1: every committed generation loads byte for byte: content, mode, modification time.
 * I3: a number never changes once it was put.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { isBadLayer } from "../../lib/errors.ts";
import type { Store } from "../../lib/store.ts";
import { key } from "../pods.ts";
import { type GenerationFile, generationFiles, keyDir, manifestOf } from "./layout.ts";
import type { Entries, Site } from "./site.ts";
import { textOf, type Tree } from "./trees.ts";

/** What a load gets of each generation by itself, ascending; undefined where it cannot be loaded. */
export type Trees = ReadonlyMap<number, Tree | undefined>;

/** What the generations of the cache hold. Each is loaded once, as long as it and its layers are what they were. */
export class Generations {
  readonly #site: Site;
  readonly #trees = new Map<string, Tree | undefined>();

  constructor(site: Site) {
    this.#site = site;
  }

  async trees(entries: Entries): Promise<Trees> {
    const trees = new Map<number, Tree | undefined>();
    for (const file of generationFiles(entries).values()) {
      if (file.ofKey === key) trees.set(file.n, await this.#treeOf(file, entries));
    }
    return trees;
  }

  async #treeOf(file: GenerationFile, entries: Entries): Promise<Tree | undefined> {
    const layers = manifestOf(file).layers.map(({ name }) => {
      const layer = entries.get(`${keyDir}/layers/${name}`);
      return layer ? `${name} ${sha256(layer.content)}` : `${name} is gone`;
    });
    const state = `${textOf(file.content)} ${layers.join()}`;
    if (!this.#trees.has(state)) this.#trees.set(state, await this.#load(file.n));
    return this.#trees.get(state);
  }

  async #load(n: number): Promise<Tree | undefined> {
    try {
      return await this.#site.loaded((store) => onlyGeneration(store, n));
    } catch (error) {
      if (isBadLayer(error)) return undefined;
      throw error;
    }
  }
}

/** What a fresh pod gets: of the newest one that loads. */
export function headOf(trees: Trees): Tree {
  return [...trees.values()].findLast((tree) => tree !== undefined) ?? {};
}

/** I1: those that were there and still are load as they did. */
export function assertUnchanged(before: Trees, after: Trees): void {
  for (const [n, tree] of before) {
    if (after.has(n)) assert.deepEqual(after.get(n), tree, `I1: generation ${n} no longer loads as it did`);
  }
}

/** I3. @param mayGo superseded ones may have been removed. */
export function assertImmutable(before: Entries, after: Entries, { mayGo }: { mayGo: boolean }): void {
  const now = generationFiles(after);
  for (const [path, was] of generationFiles(before)) {
    const is = now.get(path);
    if (!is && mayGo) continue;
    assert.ok(is, `I3: ${path} is gone`);
    assert.equal(textOf(is.content), textOf(was.content), `I3: ${path} is no longer what it was`);
  }
}

/** As if there were no other; nothing is written. */
function onlyGeneration(store: Store, only: number): Store {
  return {
    ...store,
    generationNumbers: async (key) => (await store.generationNumbers(key)).filter((n) => n === only),
    readGeneration: async (key, n) => n === only ? await store.readGeneration(key, n) : undefined,
    noteUse: () => Promise.resolve(),
    putMark: () => Promise.resolve(),
  };
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
