/** A process that is stopped, and what others do meanwhile: at each of its calls on the store, one trial each. */
import assert from "node:assert/strict";
import type { CommitWay } from "../../lib/store/put.ts";
import { FaultyFiles, type FileCall, isSynchronous } from "./faulty_files.ts";
import { assertImmutable, assertUnchanged, Generations, headOf, type Trees } from "./generations.ts";
import { storeDir } from "./layout.ts";
import { settle } from "./leftovers.ts";
import { type Ended, type Entries, type Process, type Ran, Site } from "./site.ts";
import { describe, runProcess } from "./trials.ts";
import type { Files, Tree } from "./trees.ts";
import { treeOf } from "./trees.ts";

/** Those who go on while a process is stopped. */
export interface Others {
  /** What they do while it is. */
  readonly meanwhile: () => Promise<void>;
  /** What they do once it has ended. */
  readonly afterwards?: () => Promise<void>;
}

export interface Pause {
  readonly name: string;
  readonly ways: readonly CommitWay[];
  readonly arrange: (site: Site) => Promise<void>;
  /** The command that is stopped. */
  readonly run: (site: Site, process: Process) => Promise<Ran>;
  /** Made for each trial, before the command starts. */
  readonly others: (site: Site) => Others | Promise<Others>;
  /** In the cache in the end, in any case. */
  readonly kept: Files;
  /** In the cache if the command says SUCCESS, and once it has run again. */
  readonly adds: Files;
  /** Whatever else may be in it. */
  readonly known?: Files;
  /** The directory that is restored to. */
  readonly target?: string;
}

/** What one trial has shown. */
interface Shown {
  readonly entries: Entries;
  readonly trees: Trees;
}

/**
 * Stops the command before each of its calls on the store.
 * @returns how many these are.
 * @throws an Error that names the call.
 */
export async function stopAtEveryCall(pause: Pause, way: CommitWay): Promise<number> {
  const site = await Site.make(way);
  await pause.arrange(site);
  await site.remember();
  const calls = await callsOf(site, pause);
  const checks = new Checks(site, pause);
  let count = 0;
  for (const [before, call] of calls.entries()) {
    if (!isPause(call)) continue;
    count++;
    await stopAt(before + 1, { site, pause, checks, call });
  }
  return count;
}

/** What is read from a file that is open does not change, and what is local is nobody else's. */
function isPause(call: FileCall): boolean {
  const isOpenFile = ["read", "fstat", "fchmod", "chmod", "chown", "close"].includes(call.name);
  return call.path.startsWith(`${storeDir}/`) && !isOpenFile && !isSynchronous(call);
}

async function callsOf(site: Site, { run, others }: Pause): Promise<readonly FileCall[]> {
  site.reset();
  const { meanwhile, afterwards } = await others(site);
  const files = new FaultyFiles();
  await runProcess(site, run, files);
  // Nobody is left sleeping.
  await meanwhile();
  await afterwards?.();
  return files.calls;
}

async function stopAt(
  at: number,
  { site, pause, checks, call }: { site: Site; pause: Pause; checks: Checks; call: FileCall },
): Promise<void> {
  site.reset();
  const { meanwhile, afterwards } = await pause.others(site);
  let mid: Shown | undefined;
  const files = new FaultyFiles({
    at,
    meanwhile: async () => {
      await meanwhile();
      mid = await checks.look();
    },
  });
  const ended = await runProcess(site, pause.run, files);
  await afterwards?.();
  try {
    assert.ok(mid, "it did not come to that call");
    await checks.check(ended, mid);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const where = `${pause.name}, ${site.way}, before call ${at}, ${call.name} ${call.path}`;
    throw new Error(`${where}, which then ${describe(ended)}: ${error.message}`, { cause: error });
  }
}

/** What must hold once a command has gone on that was stopped. */
class Checks {
  readonly #site: Site;
  readonly #pause: Pause;
  readonly #generations: Generations;
  readonly #known: Tree;
  readonly #passed = new Set<string>();

  constructor(site: Site, pause: Pause) {
    this.#site = site;
    this.#pause = pause;
    this.#generations = new Generations(site);
    this.#known = treeOf({ ...pause.known, ...pause.kept, ...pause.adds });
  }

  async look(): Promise<Shown> {
    const entries = this.#site.look();
    return { entries, trees: await this.#generations.trees(entries) };
  }

  async check(ended: Ended, mid: Shown): Promise<void> {
    const { adds, kept } = this.#pause;
    const end = await this.look();
    assertGrown(mid, end);
    for (const tree of end.trees.values()) {
      assertPart(tree ?? {}, this.#known, "I1: a generation has something else");
    }
    const head = headOf(end.trees);
    assertPart(treeOf(kept), head, "I3: what was saved before is gone");
    assert.equal(ended.kind, "ran", "it must not fail");
    assertPart(treeOf(adds), head, "I3: what it says was saved is not there");
    this.#checkTarget(end.entries);
    const state = this.#site.changes(end.entries).join("\n");
    if (!this.#passed.has(state)) await this.#goOn(end);
    this.#passed.add(state);
  }

  async #goOn(end: Shown): Promise<void> {
    const { adds, kept, target } = this.#pause;
    const expected = treeOf({ ...kept, ...adds });
    await this.#pause.run(this.#site, this.#site.process());
    const next = await this.look();
    assertGrown(end, next);
    assertPart(expected, headOf(next.trees), "I4: what the next run should save is not there");
    if (target !== undefined) {
      assertPart(headOf(next.trees), this.#site.tree(target), "I4: files are missing");
    }
    await settle(this.#site, target === undefined ? undefined : { dir: target, missing: "a/x" });
    assertPart(expected, await this.#site.loaded(), "I1: after all");
  }

  /** I2 */
  #checkTarget(entries: Entries): void {
    const { target } = this.#pause;
    if (target === undefined || !entries.has(target)) return;
    const found = Object.entries(this.#site.tree(target)).filter(([file]) => !file.startsWith("."));
    assertPart(Object.fromEntries(found), this.#known, "I2: a file in the target is not whole");
  }
}

/** I1 and I3: what was put stays, loads as it did, and what it holds is in what comes later. */
function assertGrown(before: Shown, after: Shown): void {
  assertImmutable(before.entries, after.entries, { mayGo: true });
  assertUnchanged(before.trees, after.trees);
  assertPart(headOf(before.trees), headOf(after.trees), "I1: the newest generation lacks what was there");
}

function assertPart(part: Tree, whole: Tree, message: string): void {
  for (const [file, facts] of Object.entries(part)) assert.equal(whole[file], facts, `${message}: ${file}`);
}
