/** Where the processes of a trial run: a store, the directories of pods, and the time, which all of them share. */
import type { Config } from "../../lib/config.ts";
import { findHead } from "../../lib/history.ts";
import type { CacheKey } from "../../lib/key.ts";
import { load } from "../../lib/load.ts";
import { PodState } from "../../lib/pod_state.ts";
import { prune } from "../../lib/prune.ts";
import type { PrunePolicy } from "../../lib/prune_policy.ts";
import { removeTree } from "../../lib/remove_tree.ts";
import { save } from "../../lib/save.ts";
import type { Store } from "../../lib/store.ts";
import { openOrCreateStore, openStore } from "../../lib/store/directory.ts";
import type { CommitWay } from "../../lib/store/put.ts";
import type { FileSystem } from "../../lib/system.ts";
import { countingRandom, key, type Pod, podAt, type PodWorld } from "../pods.ts";
import { withoutLinks } from "../store/faults.ts";
import { stateDir, storeDir } from "./layout.ts";
import { type Entry, MemoryDisk, type Moment } from "./memory_disk.ts";
import { PodClock } from "./pod_clock.ts";
import { plant, restoredFacts, textOf, type Tree } from "./trees.ts";

/** What a process came to. */
export interface Ran {
  /** Its status, and what else tells one outcome from another. */
  readonly outcome: string;
  /** What the user was told that is not as it should be. */
  readonly notices: readonly string[];
}

/** How a process ended. */
export type Ended =
  | { readonly kind: "died" }
  | { readonly kind: "failed"; readonly error: unknown }
  | ({ readonly kind: "ran" } & Ran);

/** A process's world. */
export interface Process extends PodWorld {
  readonly clock: PodClock;
}

export interface ProcessOptions {
  readonly files?: FileSystem;
  /** How far the pod's wall clock is ahead of the share's, at each look in turn. */
  readonly skewsMs?: readonly number[];
}

export interface PodOptions {
  readonly config?: Partial<Config>;
  readonly ofKey?: CacheKey;
  /** It has a place for its own state. */
  readonly hasState?: boolean;
  /** How a load sees the store. */
  readonly view?: (store: Store) => Store;
}

export type Entries = ReadonlyMap<string, Entry>;

/** So many random numbers of one process lie before the next one's. */
const randomPerProcess = 1_000_000;

/** No file that a test plants is newer. */
const startMs = Date.UTC(2026, 0, 1);

export const dayMs = 24 * 60 * 60 * 1000;

/** What lies below it does not count, and is gone once a trial begins. */
const asideDir = "/aside";

export class Site {
  readonly way: CommitWay;
  readonly disk = new MemoryDisk(startMs);
  /** How the disk was before it became what a trial finds: what a stale view of it may show. */
  readonly past: Moment[] = [];
  #processes = 0;
  #asides = 0;
  #beginning: { readonly moment: Moment; readonly processes: number; readonly asides: number } | undefined;
  #template: Entries = new Map();

  private constructor(way: CommitWay) {
    this.way = way;
  }

  static async make(way: CommitWay): Promise<Site> {
    const site = new Site(way);
    for (const dir of [storeDir, stateDir, asideDir]) await site.disk.files.mkdir(dir, 0o755);
    return site;
  }

  /** Trials begin with what is there now. */
  async remember(): Promise<void> {
    await removeTree(this.disk.files, asideDir);
    await this.disk.files.mkdir(asideDir, 0o755);
    this.#beginning = {
      moment: this.disk.remember(),
      processes: this.#processes,
      asides: this.#asides,
    };
    this.#template = this.look();
  }

  /** A trial begins: everything is as it was remembered, and random numbers are the same in all trials. */
  reset(): void {
    if (!this.#beginning) throw new Error("Cannot begin a trial as no beginning was remembered");
    const { moment, processes, asides } = this.#beginning;
    this.disk.restore(moment);
    this.#processes = processes;
    this.#asides = asides;
  }

  /** What is there where a trial begins. */
  get template(): Entries {
    return this.#template;
  }

  /** What is there now, parents first. */
  look(): Entries {
    return this.disk.entries((path) => path !== asideDir);
  }

  /** One line for each path that is not as it was where the trial began: states are the same where these are. */
  changes(now: Entries): string[] {
    const changes: string[] = [];
    for (const [path, is] of now) {
      const was = this.#template.get(path);
      if (was?.mode === is.mode && was.content === is.content && was.mtimeNs === is.mtimeNs) continue;
      changes.push(describe(path, is));
    }
    for (const path of this.#template.keys()) if (!now.has(path)) changes.push(`${path} is gone`);
    return changes;
  }

  /** A process whose random numbers nobody else has, and whose clock shows the time. */
  process({ files = this.disk.files, skewsMs = [] }: ProcessOptions = {}): Process {
    const random = countingRandom(++this.#processes * randomPerProcess);
    return { clock: new PodClock(this.disk, skewsMs), random, fs: files };
  }

  /** A directory that does not count, named after nothing else. */
  aside(): string {
    return `${asideDir}/${++this.#asides}`;
  }

  openStore(process: Process): Promise<Store | undefined> {
    return openStore(this.#storeWorld(process), storeDir);
  }

  createStore(process: Process): Promise<Store> {
    return openOrCreateStore(this.#storeWorld(process), storeDir);
  }

  #storeWorld(process: Process): Process {
    return this.way === "link" ? process : { ...process, fs: withoutLinks(process.fs) };
  }

  async save(process: Process, dir: string, options: PodOptions = {}): Promise<Ran> {
    const pod = this.#pod(process, dir, options);
    const { status, generation } = await save(pod, () => this.createStore(process));
    return { outcome: `${status}, generation ${generation}`, notices: pod.notices };
  }

  async load(process: Process, dir: string, options: PodOptions = {}): Promise<Ran> {
    const pod = this.#pod(process, dir, options);
    const store = await this.openStore(process);
    const outcome = await load(pod, store && (options.view?.(store) ?? store));
    const text = outcome.status === "DOES_NOT_EXIST"
      ? outcome.status
      : `${outcome.status}, generation ${outcome.generation}`;
    return { outcome: text, notices: pod.notices };
  }

  async prune(process: Process, policy: PrunePolicy, { config = {} }: PodOptions = {}): Promise<Ran> {
    const pod = this.#pod(process, "/", { config });
    const store = await this.openStore(process);
    const pruned = store ? await prune({ ...pod, store, policy, dryRun: false }) : [];
    const outcome = pruned.map(({ key, evicted, generationsRemoved, layersRemoved }) =>
      `${key}: ${evicted ? "evicted, " : ""}generations ${generationsRemoved}, layers ${layersRemoved}`
    ).join("; ");
    return { outcome, notices: pod.notices };
  }

  #pod(process: Process, dir: string, { config = {}, ofKey = key, hasState = false }: PodOptions): Pod {
    const state = hasState ? new PodState(process, stateDir) : undefined;
    const made = podAt(process, dir, {
      // One place, so that a dead saver's is wanted again.
      config: { maxConcurrentSaves: 1, ...config },
      ...(state ? { state } : {}),
    });
    return { ...made, key: ofKey };
  }

  /** The number of the newest generation. */
  async newest(): Promise<number | undefined> {
    const store = await this.createStore(this.process());
    return (await findHead(store, key)).generation?.manifest.n;
  }

  /** What a fresh pod gets. @param view how it sees the store. */
  async loaded(view: (store: Store) => Store = (store) => store): Promise<Tree> {
    const dir = this.aside();
    await plant(this.disk.files, dir, {});
    try {
      await this.load(this.process(), dir, { view });
      return this.tree(dir);
    } finally {
      await removeTree(this.disk.files, dir);
    }
  }

  /** The files below `dir`. */
  tree(dir: string): Tree {
    const below = [...this.disk.entries()].filter(([path, { kind }]) =>
      kind === "file" && path.startsWith(`${dir}/`)
    );
    return Object.fromEntries(
      below.map(([path, entry]) => [path.slice(dir.length + 1), restoredFacts(entry)]),
    );
  }
}

/** Of what is in the store the bytes count; of the record of what was restored, that it is there. */
function describe(path: string, entry: Entry): string {
  const { kind, mode, content } = entry;
  const common = `${path} ${kind} ${mode.toString(8)}`;
  if (kind === "directory" || path.startsWith(`${stateDir}/`)) return common;
  return path.startsWith(`${storeDir}/`)
    ? `${common} ${textOf(content)}`
    : `${common} ${restoredFacts(entry)}`;
}
