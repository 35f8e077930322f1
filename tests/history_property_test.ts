/**
 * Any interleaving of savers, loaders and pruners, with crashes, savers that sleep for days, and clocks that jump,
 * against a model that is simple: a path that was reported as saved is there, with bytes that somebody saved.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { CacheError, messageOf } from "../lib/errors.ts";
import { findHead, readGeneration } from "../lib/history.ts";
import { load } from "../lib/load.ts";
import { prune } from "../lib/prune.ts";
import { save } from "../lib/save.ts";
import { memoryStore } from "../lib/store/memory.ts";
import type { Store } from "../lib/store.ts";
import type { Clock } from "../lib/system.ts";
import {
  countingRandom,
  key,
  makePod,
  readFiles,
  readStore,
  rootName,
  withDirectory,
  writeFile,
} from "./pods.ts";
import { syncFiles } from "./sync_files.ts";

/** Conflicts included: one pod's file is another's directory. */
const paths = ["a", "b", "b/c", "d/e", "d/e/f", "g"] as const;

/** Bun ends a test after 5 s otherwise, which a busy machine may need. */
const timeout = 120_000;

const pods = 3;
const hourMs = 60 * 60 * 1000;
/** More than the grace of a prune. */
const longMs = 30 * hourMs;

/** What may befall an operation at its n-th call on the store. */
type Fate =
  | { readonly kind: "lives" }
  /** Nothing that it does from then on has an effect. */
  | { readonly kind: "dies"; readonly at: number }
  /** It goes on after everything else, whatever has passed meanwhile. */
  | { readonly kind: "sleeps"; readonly at: number };

type Step =
  | { readonly kind: "save"; readonly pod: number; readonly paths: readonly string[]; readonly fate: Fate }
  | { readonly kind: "load"; readonly fate: Fate }
  | { readonly kind: "prune"; readonly evicts: boolean; readonly fate: Fate };

interface Round {
  /** All at once. */
  readonly steps: readonly Step[];
  /** What passes afterwards by the store's clock. */
  readonly passesMs: number;
  /** By how much each pod's own clock is off from then on. */
  readonly skewMs: number;
}

const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Fate>({ kind: "lives" }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("dies" as const), at: fc.integer({ min: 1, max: 40 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("sleeps" as const), at: fc.integer({ min: 1, max: 40 }) }),
  },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("save" as const),
      pod: fc.nat(pods - 1),
      paths: fc.subarray([...paths], { minLength: 1 }),
      fate,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("load" as const), fate }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("prune" as const),
      evicts: fc.constantFrom(false, false, true),
      fate,
    }),
  },
);

const round: fc.Arbitrary<Round> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 4 }),
  passesMs: fc.constantFrom(0, hourMs, longMs),
  skewMs: fc.constantFrom(0, -24 * hourMs, hourMs, 24 * hourMs),
});

/** One run: a store, its pods, the model, and who sleeps. */
class Run {
  readonly #base: string;
  readonly #scheduler: fc.Scheduler;
  readonly #random = countingRandom();
  readonly #store: Store;
  #storeMs = Date.UTC(2026, 0, 1);
  #monotonicMs = 0;
  #skewMs = 0;
  #count = 0;
  /** Contents that somebody tried to save, by path in the store. */
  readonly #written = new Map<string, Set<string>>();
  /** Paths whose saving was reported, and not evicted since. */
  #reported = new Set<string>();
  /** By number: the bytes that it was won with. */
  readonly #generations = new Map<number, string>();
  #evictionSleeps = false;
  readonly #sleepers: { wake: () => void; done: Promise<void> }[] = [];

  constructor(base: string, scheduler: fc.Scheduler) {
    this.#base = base;
    this.#scheduler = scheduler;
    const clock = { ...this.#clock(), nowMs: () => this.#storeMs };
    this.#store = this.#watched(memoryStore({ random: this.#random, clock }));
  }

  async play({ steps, passesMs, skewMs }: Round): Promise<void> {
    const evicts = steps.some((one) => one.kind === "prune" && one.evicts);
    if (evicts) this.#reported = new Set();
    const before = new Set(this.#reported);
    const saved: string[] = [];
    const running = steps.map((one) => this.#start(one, { before: evicts ? new Set() : before, saved }));
    await this.#scheduler.waitFor(Promise.all(running.map((one) => Promise.race([one.done, one.asleep]))));
    if (!evicts) { for (const file of saved) this.#reported.add(file); }
    await this.#check();
    this.#storeMs += passesMs;
    this.#skewMs = skewMs;
  }

  /** Everybody who slept goes on; then a cache that was saved last is whole, and two prunes leave no litter. */
  async end(): Promise<void> {
    // An eviction that was decided long ago may be carried out now.
    if (this.#evictionSleeps) this.#reported = new Set();
    for (const { wake } of this.#sleepers) wake();
    await this.#scheduler.waitFor(Promise.all(this.#sleepers.map(({ done }) => done)));
    await this.#check();
    const lives = { kind: "lives" } as const;
    await this.play({ steps: [{ kind: "save", pod: 0, paths: ["g"], fate: lives }], passesMs: 0, skewMs: 0 });
    await this.play({ steps: [{ kind: "load", fate: lives }], passesMs: longMs, skewMs: 0 });
    const pruneOnce = () =>
      this.play({ steps: [{ kind: "prune", evicts: false, fate: lives }], passesMs: longMs, skewMs: 0 });
    for (let run = 0; run < 3; run++) await pruneOnce();
    const { generation } = await findHead(this.#store, key);
    assert.deepEqual(generation?.manifest.condemned, []);
    assert.deepEqual(await this.#store.marks(key), []);
    const named = new Set<string>();
    const numbers = await this.#store.generationNumbers(key);
    for (const n of numbers) {
      const read = await readGeneration(this.#store, key, n);
      if (read.kind === "valid") { for (const { name } of read.generation.manifest.layers) named.add(name); }
    }
    assert.deepEqual((await this.#store.layers(key)).map(({ name }) => name), [...named].sort());
    // A prune that has nothing to do commits nothing.
    await pruneOnce();
    assert.deepEqual(await this.#store.generationNumbers(key), numbers);
  }

  #start(
    one: Step,
    model: { before: ReadonlySet<string>; saved: string[] },
  ): { done: Promise<void>; asleep: Promise<void> } {
    const { store, asleep, wake } = this.#storeOf(one.fate);
    const done = this.#perform(one, store, model);
    if (one.fate.kind === "sleeps") {
      this.#sleepers.push({ wake, done });
      this.#evictionSleeps ||= one.kind === "prune" && one.evicts;
    }
    return { done: one.fate.kind === "dies" ? Promise.race([done, asleep]) : done, asleep };
  }

  async #perform(
    one: Step,
    store: Store,
    { before, saved }: { before: ReadonlySet<string>; saved: string[] },
  ): Promise<void> {
    switch (one.kind) {
      case "save": {
        const dir = path.join(this.#base, `pod-${one.pod}`);
        this.#grow(dir, one.paths);
        const local = Object.keys(readFiles(dir)).map((file) => `${rootName}/${file}`);
        const outcome = await save(this.#pod(dir), () => Promise.resolve(store)).catch(explain);
        if (outcome && one.fate.kind === "lives") saved.push(...local);
        return;
      }
      case "load": {
        const dir = path.join(this.#base, `loader-${++this.#count}`);
        const outcome = await load(this.#pod(dir), store).catch(explain);
        if (!outcome) return;
        const found = Object.fromEntries(
          Object.entries(readFiles(dir)).map(([file, content]) => [`${rootName}/${file}`, content]),
        );
        this.#assertWritten(found);
        // A loader that slept may have been overtaken by an eviction.
        if (one.fate.kind === "lives") { for (const file of before) assertHas(found, file); }
        return;
      }
      case "prune": {
        const pod = this.#pod(path.join(this.#base, "pruner"));
        await prune({
          ...pod,
          store,
          policy: one.evicts ? { maxTotalBytes: 0 } : { keepLast: 2 },
          dryRun: false,
        }).catch(explain);
        return;
      }
    }
    one satisfies never;
  }

  /** New files of this pod: a path that it has, or that conflicts with one, stays as it is. */
  #grow(dir: string, files: readonly string[]): void {
    fs.mkdirSync(dir, { recursive: true });
    for (const file of files) {
      const place = path.join(dir, file);
      if (fs.existsSync(place) || fs.statSync(path.dirname(place), { throwIfNoEntry: false })?.isFile()) {
        continue;
      }
      const content = `${file} of save ${++this.#count}`;
      try {
        writeFile(place, content);
      } catch {
        continue;
      }
      const name = `${rootName}/${file}`;
      this.#written.set(name, new Set([...this.#written.get(name) ?? [], content]));
    }
  }

  #pod(dir: string) {
    const clock = this.#clock();
    const random = this.#random;
    // A history that is short is compacted often.
    return makePod({ clock, random, fs: syncFiles }, dir, { config: { compactAfterLayers: 2 } });
  }

  #clock(): Clock {
    return {
      nowMs: () => this.#storeMs + this.#skewMs,
      monotonicMs: () => this.#monotonicMs,
      sleep: async (ms) => {
        await this.#scheduler.schedule(Promise.resolve());
        this.#monotonicMs += ms;
      },
      every: () => {},
    };
  }

  /** The store as one operation reaches it: every call waits for its turn. */
  #storeOf(fate: Fate) {
    let calls = 0;
    let fall = () => {};
    let wake = () => {};
    const asleep = new Promise<void>((resolve) => fall = resolve);
    const awake = new Promise<void>((resolve) => wake = resolve);
    const turn = async (): Promise<void> => {
      await this.#scheduler.schedule(Promise.resolve());
      if (fate.kind === "lives" || ++calls < fate.at) return;
      fall();
      if (fate.kind === "dies") await new Promise<never>(() => {});
      await awake;
    };
    return { store: taken(this.#store, turn), asleep, wake };
  }

  async #check(): Promise<void> {
    const head = await readStore(this.#store);
    this.#assertWritten(head);
    for (const file of this.#reported) assertHas(head, file);
    await this.#checkNumbers();
  }

  /** What a number says never changes. */
  async #checkNumbers(): Promise<void> {
    for (const n of await this.#store.generationNumbers(key)) {
      const bytes = await this.#store.readGeneration(key, n);
      assert.equal(textOf(bytes), this.#generations.get(n), `number ${n} has changed`);
    }
  }

  /**
   * Remembers what each number was won with. One that a prune removed may be won again by a saver that slept for longer
   * than a grace: far below the head, where nobody looks, and its own fresh look tells it so.
   */
  #watched(store: Store): Store {
    return {
      ...store,
      putGeneration: async (at, n, bytes) => {
        const answer = await store.putGeneration(at, n, bytes);
        if (answer === "taken") return answer;
        const newest = (await store.generationNumbers(at)).at(-1);
        if (this.#generations.has(n)) assert.notEqual(n, newest, `number ${n} is the head's again`);
        this.#generations.set(n, textOf(bytes));
        return answer;
      },
    };
  }

  #assertWritten(found: Readonly<Record<string, string>>): void {
    for (const [file, content] of Object.entries(found)) {
      assert.ok(this.#written.get(file)?.has(content), `nobody wrote ${JSON.stringify(content)} to ${file}`);
    }
  }
}

function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

/** The store with a wait before each of its calls, those of its leases and files included. */
function taken<T extends object>(target: T, turn: () => Promise<void>): T {
  return new Proxy(target, {
    get(object, property) {
      const member: unknown = Reflect.get(object, property);
      if (property === "leases" && typeof member === "object" && member !== null) return taken(member, turn);
      if (typeof member !== "function") return member;
      return async (...args: unknown[]) => {
        await turn();
        const result: unknown = await Reflect.apply(member, object, args);
        return typeof result === "object" && result !== null && Symbol.asyncDispose in result
          ? taken(result, turn)
          : result;
      };
    },
  });
}

/** Where one pod's file is another's directory the first one stays. */
function assertHas(found: Readonly<Record<string, string>>, file: string): void {
  const conflicts = Object.keys(found).some((other) =>
    other.startsWith(`${file}/`) || file.startsWith(`${other}/`)
  );
  assert.ok(Object.hasOwn(found, file) || conflicts, `${file} is lost`);
}

/** No operation fails, but for one whose share is too busy. */
function explain(error: unknown): undefined {
  if (error instanceof CacheError && error.code === "contended") return undefined;
  throw new Error(`An operation failed: ${messageOf(error)}`, { cause: error });
}

test(
  "whatever happens at once, a reported save stays and nobody loads what nobody saved",
  { timeout },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(round, { minLength: 1, maxLength: 6 }),
        async (scheduler, rounds) => {
          await withDirectory(async (base) => {
            const run = new Run(base, scheduler);
            for (const one of rounds) await run.play(one);
            await run.end();
          });
        },
      ),
      { numRuns: 300 },
    );
  },
);
