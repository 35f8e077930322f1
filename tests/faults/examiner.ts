/**
 * What holds after any fault:
 * - I1 every committed generation loads byte for byte: content, mode, modification time;
 * - I2 the target holds what it held, or that plus whole entries, index-like files last; SKIPPED is said only after
 *   comparing every path, so that the next load completes an interrupted one;
 * - I3 a generation number has one winner, and every SUCCESS reported is in the history that readers see;
 * - I4 the next run of the same command succeeds by itself;
 * - I5 a prune never removes what a retained generation needs, nor an upload under way;
 * - I6 leftovers are bounded and go away.
 */
import assert from "node:assert/strict";
import { CacheError } from "../../lib/errors.ts";
import { key } from "../pods.ts";
import type { FileCall } from "./faulty_files.ts";
import { assertImmutable, assertUnchanged, Generations, headOf, type Trees } from "./generations.ts";
import { layerAt } from "./layout.ts";
import { kindsOfLeftovers, settle } from "./leftovers.ts";
import { assertInOrder, assertUntouched, assertWholeFiles } from "./restored.ts";
import { type Scenario, uncommitted, uploadUnderWay } from "./scenarios.ts";
import type { Ended, Entries, Site } from "./site.ts";
import { isSameTree, textOf, type Tree, treeOf } from "./trees.ts";

/** What a trial has left, as far as it decides which endings are honest. */
interface Left {
  /** What a fresh pod gets. */
  readonly head: Tree;
  /** The directory that is restored to has everything. */
  readonly isTargetComplete: boolean;
}

export interface Circumstances {
  /** The call that went wrong. */
  readonly struck?: FileCall;
  /** What the process saw of the share may have been old, and so what it says of it. */
  readonly hasOldView?: boolean;
}

/** Checks what trials of one scenario leave. What follows depends on the state alone: each is gone through once. */
export class Examiner {
  readonly #site: Site;
  readonly #scenario: Scenario;
  readonly #generations: Generations;
  readonly #before: Tree;
  readonly #after: Tree;
  readonly #left = new Map<string, Left>();
  readonly #settled = new Set<string>();
  #treesBefore: Trees = new Map();

  private constructor(site: Site, scenario: Scenario) {
    this.#site = site;
    this.#scenario = scenario;
    this.#generations = new Generations(site);
    this.#before = treeOf(scenario.before ?? {});
    this.#after = treeOf(scenario.after ?? {});
  }

  /** @param site as trials begin. */
  static async make(site: Site, scenario: Scenario): Promise<Examiner> {
    const examiner = new Examiner(site, scenario);
    examiner.#treesBefore = await examiner.#generations.trees(site.template);
    assert.deepEqual(
      headOf(examiner.#treesBefore),
      examiner.#before,
      `${scenario.name}: what is there before`,
    );
    return examiner;
  }

  /** How many different states the trials have left. */
  get states(): number {
    return this.#left.size;
  }

  /** What is there now is what should be after `ended`. It is no longer the same afterwards. */
  async examine(ended: Ended, circumstances: Circumstances = {}): Promise<void> {
    const entries = this.#site.look();
    const state = this.#site.changes(entries).join("\n");
    const left = this.#left.get(state) ?? await this.#goThrough(entries, circumstances);
    this.#left.set(state, left);
    this.#assertHonest(ended, left, circumstances);
  }

  async #goThrough(entries: Entries, circumstances: Circumstances): Promise<Left> {
    const left = await this.#assertSound(entries, circumstances);
    const next = await this.#scenario.run(this.#site, this.#site.process());
    const afterwards = this.#site.look();
    const complete = await this.#assertSound(afterwards, circumstances);
    assertImmutable(entries, afterwards, this.#mayGo);
    assert.deepEqual(complete.head, this.#after, `I4: after the next run, which said ${next.outcome}`);
    assert.ok(complete.isTargetComplete, `I4: the target after the next run, which said ${next.outcome}`);
    await this.#settle(afterwards);
    return left;
  }

  /** I1, I2, I3 and I5, as far as they can be told from what is there. */
  async #assertSound(entries: Entries, circumstances: Circumstances): Promise<Left> {
    assertImmutable(this.#site.template, entries, this.#mayGo);
    this.#assertOthersUntouched(entries);
    const trees = await this.#generations.trees(entries);
    assertUnchanged(this.#treesBefore, trees);
    for (const [n, tree] of trees) {
      if (this.#treesBefore.has(n)) continue;
      assert.ok(tree, `I1: generation ${n} does not load`);
      this.#assertKnown(tree, n);
    }
    return { head: headOf(trees), isTargetComplete: this.#checkPod(entries, circumstances) };
  }

  /** A new generation has all that there was, of what was to be saved whole files, and nothing else. */
  #assertKnown(tree: Tree, n: number): void {
    const isEvicted = this.#scenario.after === undefined && isSameTree(tree, {});
    for (const name of Object.keys(isEvicted ? {} : this.#before)) {
      assert.ok(name in tree, `I1: generation ${n} lacks ${name}`);
    }
    for (const [name, facts] of Object.entries(tree)) {
      const isKnown = facts === this.#before[name] || facts === this.#after[name];
      assert.ok(isKnown, `I1: generation ${n} has ${name} as ${facts}`);
    }
  }

  /** I5: nobody removes what another saver is at, or anything of another cache. */
  #assertOthersUntouched(entries: Entries): void {
    for (const [path, was] of this.#site.template) {
      const layer = layerAt(path);
      const isOthers = path === uploadUnderWay ||
        (layer && (layer.ofKey !== key || textOf(was.content) === uncommitted));
      if (isOthers) assert.equal(entries.get(path)?.ino, was.ino, `I5: ${path} is no longer what it was`);
    }
  }

  /** I2. @returns whether all that is to be restored is there. */
  #checkPod(entries: Entries, { hasOldView = false }: Circumstances): boolean {
    const { target, saver, after } = this.#scenario;
    const dir = target?.dir ?? saver;
    if (dir !== undefined) assertUntouched(dir, this.#site.template, entries);
    if (!target) return true;
    const before = treeOf(target.before);
    const complete = { ...treeOf(after ?? {}), ...before };
    // Whoever saw an older generation may have restored that one.
    if (!hasOldView) assertInOrder(target.dir, entries, { before, after: complete });
    return assertWholeFiles(target.dir, entries, complete);
  }

  /** I3, and whatever else a process may say of what it has done. */
  #assertHonest(ended: Ended, { head, isTargetComplete }: Left, circumstances: Circumstances): void {
    const isBefore = isSameTree(head, this.#before);
    const isAfter = isSameTree(head, this.#after);
    switch (ended.kind) {
      case "died":
        assert.ok(isBefore || isAfter, "I1: a dead process has left half of a cache");
        return;
      case "failed":
        assertForeseen(ended.error);
        assert.ok(isBefore || isAfter, "I1: a process that failed has left half of a cache");
        return;
      case "ran": {
        const { outcome, notices } = ended;
        const { struck, hasOldView = false } = circumstances;
        const isSave = this.#scenario.saver !== undefined;
        if (hasOldView && !isSave) return;
        // Whatever of this pod's own files cannot be read is left for the next save, with a notice.
        const isPart = isSave && notices.length > 0 && !hasOldView;
        const isUnknown = isBefore && this.#scenario.hints?.some((path) => struck?.path.startsWith(path));
        assert.ok(isAfter || isPart || isUnknown, `I3: not everything is there after ${outcome}`);
        assert.ok(!outcome.startsWith("DOES_NOT_EXIST"), outcome);
        assert.ok(isTargetComplete, `I2: not everything is there after ${outcome}`);
        return;
      }
    }
    return ended satisfies never;
  }

  async #settle(entries: Entries): Promise<void> {
    const kinds = kindsOfLeftovers(entries);
    if (this.#settled.has(kinds)) return;
    this.#settled.add(kinds);
    const { target } = this.#scenario;
    const later = await settle(this.#site, target && { dir: target.dir, missing: "a/x" });
    assert.deepEqual(await this.#site.loaded(), { ...this.#after, ...later }, "I1: after all");
  }

  get #mayGo(): { mayGo: boolean } {
    return { mayGo: this.#scenario.removes === true };
  }
}

/** Whatever goes wrong has one of the codes that the user can look up. */
function assertForeseen(error: unknown): void {
  if (error instanceof CacheError && error.code !== "internal") return;
  throw new Error(`an error that nobody foresaw: ${error}`, { cause: error });
}
