import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "../lib/config.ts";
import type { Config } from "../lib/config.ts";
import type { Proof } from "../lib/proof.ts";
import { takeSnapshot } from "../lib/snapshot.ts";
import { accompany, type SaveAbout, type Start } from "../lib/start.ts";
import type { FileSystem, Http } from "../lib/system.ts";
import { FakeClock } from "./fake_clock.ts";
import { fakeSystem, only } from "./fake_system.ts";
import { failure } from "./pods.ts";
import { type FileFacts, statOf } from "./snapshots.ts";

const roots = [{ name: "vllm", dir: "/caches/vllm" }];

interface StartOptions {
  readonly config?: Partial<Config>;
  /** From the beginning; never, without it. */
  readonly readyAtMs?: number;
  readonly start?: Partial<Start>;
  /** Before the server starts. */
  readonly files?: readonly string[];
  readonly hasBaseline?: false;
  /** Done before each look at the caches. */
  readonly onLook?: (world: FakeStart) => void;
  readonly onSave?: (world: FakeStart) => Promise<void>;
}

/** One start in a world of its own: what it does, in order and with its time. */
class FakeStart {
  readonly clock = new FakeClock();
  readonly controller = new AbortController();
  readonly events: string[] = [];
  readonly saves: SaveAbout[] = [];
  readonly files = new Map<string, FileFacts>();
  proof: Proof | undefined;
  readonly #options: StartOptions;

  constructor(options: StartOptions) {
    this.#options = options;
    for (const file of options.files ?? []) this.files.set(file, {});
  }

  say(what: string): void {
    this.events.push(`${this.clock.monotonicMs() / 1000} ${what}`);
  }

  async accompany(): Promise<boolean> {
    const { config, readyAtMs = Infinity, start, hasBaseline = true } = this.#options;
    const pod = { homeDir: "/root", torchCacheDir: "/tmp/torch", shareMounted: true };
    const { clock } = this;
    const fs = only<FileSystem>("fs", {
      list: () => {
        this.#options.onLook?.(this);
        return Promise.resolve([...this.files.keys()].map((name) => ({ name, kind: "file" as const })));
      },
      realPath: (path) => Promise.resolve(path),
      lstat: (path) => {
        const facts = this.files.get(path.slice("/caches/vllm/".length));
        return facts ? Promise.resolve(statOf(facts)) : Promise.reject(failure("ENOENT"));
      },
    });
    const http = only<Http>("http", {
      status: () => Promise.resolve(clock.monotonicMs() >= readyAtMs ? 200 : 503),
    });
    return await accompany({
      system: fakeSystem({ clock, fs, http }),
      config: { ...readSettings({ flags: {}, env: {}, pod }).config, ...config },
      url: "http://127.0.0.1:8000/v1/models",
      startedMs: 0,
      baseline: hasBaseline ? { roots, snapshot: await takeSnapshot(fs, roots) } : undefined,
      isRestored: true,
      coldStartS: undefined,
      suspect: undefined,
      watchS: 0,
      signal: this.controller.signal,
      save: async (about) => {
        this.say("save");
        this.saves.push(about);
        await this.#options.onSave?.(this);
      },
      onReady: (readyS) => Promise.resolve(this.say(`ready in ${readyS}`)),
      onProof: (proof, text) => {
        this.proof = proof;
        this.say(text.split(":")[0] ?? "");
        return Promise.resolve();
      },
      notice: (text) => this.say(text),
      ...start,
    });
  }
}

async function started(options: StartOptions, meanwhile?: (world: FakeStart) => Promise<void>) {
  const world = new FakeStart(options);
  const ending = world.accompany();
  await meanwhile?.(world);
  const isReady = await world.clock.run(ending);
  assert.equal(world.clock.sleeping, 0);
  return { world, isReady };
}

/** Files that appear at these times, in seconds. */
function writing(times: readonly (readonly [atS: number, file: string])[]) {
  return async (world: FakeStart): Promise<void> => {
    for (const [atS, file] of times) {
      await world.clock.advance(atS * 1000 - world.clock.monotonicMs());
      world.files.set(file, { mtimeNs: BigInt(world.clock.monotonicMs()) });
    }
  };
}

test("ready, then quiet, then the proof, then the save: in this order, each once", async () => {
  const { world, isReady } = await started({ readyAtMs: 10_000, files: ["a"] });
  assert.ok(isReady);
  assert.deepEqual(world.events, ["10 ready in 10", "15 cache HIT", "15 save"]);
  assert.deepEqual(world.saves, [{}]);
});

test("the time to ready counts from the server's start", async () => {
  const { world } = await started({ readyAtMs: 10_000, start: { startedMs: -2_500 } });
  assert.equal(world.events[0], "10 ready in 12.5");
});

test("a server that is not ready in time: nothing else is done", async () => {
  const { world, isReady } = await started({ config: { serverTimeoutS: 30 } });
  assert.equal(isReady, false);
  assert.deepEqual(world.events, []);
  assert.equal(world.clock.monotonicMs(), 30_000);
});

test("what arrives after readiness belongs to the start", async () => {
  const { world } = await started({ readyAtMs: 10_000, files: ["a", "b", "c"] }, writing([[13.5, "late"]]));
  assert.deepEqual(world.events, ["10 ready in 10", "19 cache PARTIAL", "19 save"]);
});

const cold = { readyAtMs: 10_000, start: { isRestored: false } };

test("a cold start's first save is told how long it took, and no other is", async () => {
  const options = { ...cold, start: { isRestored: false, watchS: 200 } };
  const { world } = await started(options, writing([[5, "graph"], [80, "more"]]));
  assert.deepEqual(world.saves, [{ coldStartS: 10 }, {}]);
});

test("of a start whose caches cannot be looked at it is not known whether it was cold", async () => {
  const { world } = await started({ ...cold, hasBaseline: false, start: { isRestored: false, watchS: 200 } });
  assert.deepEqual(world.events, ["10 ready in 10", "10 save"]);
  assert.deepEqual(world.saves, [{}]);
  assert.equal(world.clock.monotonicMs(), 10_000);
});

test("a pod that got ready without a suspect says so to its first save", async () => {
  const start = { isRestored: false, suspect: "c0", watchS: 200 };
  const { world } = await started({ ...cold, start }, writing([[5, "graph"], [80, "more"]]));
  assert.deepEqual(world.saves, [{ coldStartS: 10, replacedSuspect: "c0" }, {}]);
});

test("a read-only pod proves, and neither saves nor watches", async () => {
  const options = { readyAtMs: 10_000, config: { readOnly: true }, start: { watchS: 200 } };
  const { world, isReady } = await started(options);
  assert.ok(isReady);
  assert.deepEqual(world.events, ["10 ready in 10", "15 cache HIT"]);
  assert.equal(world.clock.monotonicMs(), 15_000);
});

test("the watch looks at its own slow pace, and saves what has changed once that is quiet", async () => {
  const options = { readyAtMs: 0, files: ["a", "b", "c"], start: { watchS: 300 } };
  const { world } = await started(options, writing([[70, "more"], [127, "more"], [250, "again"]]));
  assert.deepEqual(world.events, [
    "0 ready in 0",
    "5 cache HIT",
    "5 save",
    // Looks at 65 and 125, quiet 5 s after the change at 127; looks at 193 and 253.
    "133 save",
    "258 save",
  ]);
  assert.equal(world.clock.monotonicMs(), 305_000);
});

test("a change in the very last moment of the watch is saved; after it nothing is", async () => {
  const options = { readyAtMs: 0, start: { watchS: 90 } };
  const { world } = await started(options, writing([[94.5, "in time"]]));
  assert.deepEqual(world.events.slice(-1), ["100 save"]);
  const late = await started(options, writing([[95.5, "too late"]]));
  assert.deepEqual(late.world.events.slice(-1), ["5 save"]);
});

test("what a server writes during a save is saved by the watch", async () => {
  let isFirst = true;
  const onSave = (world: FakeStart): Promise<void> => {
    if (isFirst) world.files.set("meanwhile", {});
    isFirst = false;
    return Promise.resolve();
  };
  const { world } = await started({ readyAtMs: 0, start: { watchS: 100 }, onSave });
  assert.deepEqual(world.events.slice(-2), ["5 save", "70 save"]);
});

for (
  const [during, atS] of [["wait for the server", 5], ["wait for quiet", 12], ["watch", 30], [
    "quiet of the watch",
    77,
  ]] as const
) {
  test(`an abort during the ${during} ends it at once, with the signal's reason`, async () => {
    const options = { readyAtMs: 10_000, files: ["a"], start: { watchS: 200 } };
    const world = new FakeStart(options);
    const ending = world.accompany();
    if (atS > 60) await writing([[60, "more"]])(world);
    await world.clock.advance(atS * 1000 - world.clock.monotonicMs());
    world.controller.abort(new Error("enough"));
    await assert.rejects(world.clock.run(ending), /enough/);
    assert.deepEqual([world.clock.monotonicMs(), world.clock.sleeping], [atS * 1000, 0]);
    assert.equal(world.saves.length, atS > 15 ? 1 : 0);
  });
}

test("an abort during the last look before a save: no save begins", async () => {
  for (const [atS, saves] of [[15, 0], [80, 1]] as const) {
    const world = new FakeStart({
      readyAtMs: 10_000,
      start: { watchS: 200 },
      onLook: ({ clock, controller }) => {
        if (clock.monotonicMs() >= atS * 1000) controller.abort(new Error("enough"));
      },
    });
    const ending = world.accompany();
    if (atS > 60) await writing([[60, "more"]])(world);
    await assert.rejects(world.clock.run(ending), /enough/);
    assert.equal(world.saves.length, saves);
  }
});

/** The caches cannot be listed from then on. */
function failingFrom(atS: number) {
  return ({ clock }: FakeStart): void => {
    if (clock.monotonicMs() >= atS * 1000) throw failure("EIO");
  };
}

test("caches that cannot be looked at any more: no proof, the save at once, no watch, and a word", async () => {
  const { world, isReady } = await started({ ...cold, onLook: failingFrom(12) });
  assert.ok(isReady);
  assert.match(world.events[1] ?? "", /^12 whether the caches are quiet cannot be told: .*EIO/);
  assert.deepEqual(world.events.slice(2), ["12 save"]);
  assert.deepEqual(world.saves, [{}]);
});

test("in the watch that ends it, with a word; in its wait for quiet what has changed is saved first", async () => {
  const options = { readyAtMs: 10_000, start: { watchS: 200 } };
  const before = await started({ ...options, onLook: failingFrom(70) });
  assert.match(before.world.events.at(-1) ?? "", /^75 what later requests compile is not saved: .*EIO/);
  assert.equal(before.world.saves.length, 1);
  const meanwhile = await started({ ...options, onLook: failingFrom(77) }, writing([[60, "more"]]));
  assert.deepEqual(
    meanwhile.world.events.slice(3).map((event) => event.split(":")[0]),
    [
      "77 whether the caches are quiet cannot be told",
      "77 save",
      "137 what later requests compile is not saved",
    ],
  );
});
