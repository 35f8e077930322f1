import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lease, LeaseObserver, LeaseSeeker, type Wanted } from "../lib/lock.ts";
import type { HeldLease, LeasePlace, Leases, Store } from "../lib/store.ts";
import { memoryStore } from "../lib/store/memory.ts";
import type { Random } from "../lib/system.ts";
import { realRandom } from "../lib/system/clock.ts";
import { FakeClock } from "./fake_clock.ts";
import { only } from "./fake_system.ts";
import { key } from "./pods.ts";

const timeoutMs = 30_000;
const place: LeasePlace = { kind: "pack", key };

/** A store whose leases hold whatever the test takes. */
function newStore(): Store {
  return memoryStore({ random: realRandom, clock: new FakeClock() });
}

function seeker(clock: FakeClock, store: Store, wanted: Partial<Wanted> = {}, random: Random = realRandom) {
  return new LeaseSeeker({ clock, random }, store, {
    places: [place],
    holder: "seeker",
    timeoutMs,
    ...wanted,
  });
}

/** Takes a lease that nobody beats: its holder died. */
async function takeAndDie(store: Store, at = place): Promise<HeldLease> {
  return await store.leases.take(at, "dead") ?? assert.fail("the place is taken");
}

test("a lease that is seen for the first time is not dead, however long the observer has lived", async () => {
  const clock = new FakeClock();
  const observer = new LeaseObserver(clock, timeoutMs);
  await clock.advance(100 * timeoutMs);
  assert.equal(observer.looksDead("a", "x"), false);
  // What was seen of another place tells nothing.
  await clock.advance(100 * timeoutMs);
  assert.equal(observer.looksDead("b", "x"), false);
  assert.equal(observer.looksDead("a", "x"), true);
});

test("a lease whose content has not changed for longer than the timeout is dead, and no earlier", async () => {
  const clock = new FakeClock();
  const observer = new LeaseObserver(clock, timeoutMs);
  observer.looksDead("a", "x");
  await clock.advance(timeoutMs);
  assert.equal(observer.looksDead("a", "x"), false);
  await clock.advance(1);
  assert.equal(observer.looksDead("a", "x"), true);
});

test("any change of the content is a sign of life, a change back as well", async () => {
  const clock = new FakeClock();
  const observer = new LeaseObserver(clock, timeoutMs);
  for (const content of ["x", "x.", "x", "", "x"]) {
    assert.equal(observer.looksDead("a", content), false);
    await clock.advance(timeoutMs);
    assert.equal(observer.looksDead("a", content), false);
    await clock.advance(1);
  }
});

test("jumps of the wall clock neither kill a holder nor keep a dead one alive", async () => {
  const clock = new FakeClock();
  const observer = new LeaseObserver(clock, timeoutMs);
  const dayMs = 24 * 60 * 60 * 1000;
  observer.looksDead("a", "x");
  for (const jumpMs of [dayMs, -dayMs, 10 * dayMs, -20 * dayMs]) {
    clock.setWallClock(clock.nowMs() + jumpMs);
    assert.equal(observer.looksDead("a", "x"), false);
  }
  await clock.advance(timeoutMs + 1);
  clock.setWallClock(0);
  assert.equal(observer.looksDead("a", "x"), true);
});

test("whatever an observer sees, it takes nobody for dead who changed within the timeout", async () => {
  const looks = fc.array(fc.record({ waitMs: fc.nat(timeoutMs * 2), changes: fc.boolean() }), {
    maxLength: 30,
  });
  await fc.assert(fc.asyncProperty(looks, async (sequence) => {
    const clock = new FakeClock();
    const observer = new LeaseObserver(clock, timeoutMs);
    let content = 0;
    let unchangedSinceMs: number | undefined;
    for (const { waitMs, changes } of sequence) {
      await clock.advance(waitMs);
      if (changes || unchangedSinceMs === undefined) {
        content++;
        unchangedSinceMs = clock.monotonicMs();
      }
      const isDead = clock.monotonicMs() - unchangedSinceMs > timeoutMs;
      assert.equal(observer.looksDead("a", `${content}`), isDead);
    }
  }));
});

test("a seeker takes a place that is free, and says who it is", async () => {
  const store = newStore();
  await using lease = await seeker(new FakeClock(), store).tryOnce();
  assert.ok(lease);
  assert.match(await store.leases.look(place) ?? "", /"holder":"seeker"/);
});

test("a holder that beats keeps its place, for however long it is asked for", async () => {
  const [clock, store] = [new FakeClock(), newStore()];
  await using _ = await seeker(clock, store, { holder: "holder" }).tryOnce() ?? assert.fail();
  const waiting = seeker(clock, store);
  for (let ms = 0; ms < 20 * timeoutMs; ms += 700) {
    assert.equal(await waiting.tryOnce(), undefined);
    await clock.advance(700);
  }
  assert.match(await store.leases.look(place) ?? "", /"holder":"holder"/);
});

test("a holder that is silent loses its place after the timeout, counted from the seeker's first look", async () => {
  const [clock, store] = [new FakeClock(), newStore()];
  await takeAndDie(store);
  await clock.advance(10 * timeoutMs);
  const waiting = seeker(clock, store);
  for (let ms = 0; ms <= timeoutMs; ms += 1_000) {
    assert.equal(await waiting.tryOnce(), undefined, `after ${ms} ms`);
    await clock.advance(1_000);
  }
  await using lease = await waiting.tryOnce();
  assert.ok(lease);
  assert.match(await store.leases.look(place) ?? "", /"holder":"seeker"/);
});

test("a dead holder that wakes up in time, before its place is taken from it, keeps it", async () => {
  const [clock, store] = [new FakeClock(), newStore()];
  const sleeper = await takeAndDie(store);
  let isLate = false;
  // It beats after it was judged, and before its lease is freed.
  const leases: Leases = {
    ...store.leases,
    free: async (at, content) => {
      isLate = true;
      await sleeper.beat();
      await store.leases.free(at, content);
    },
  };
  const waiting = seeker(clock, { ...store, leases });
  await waiting.tryOnce();
  await clock.advance(timeoutMs + 1);
  assert.equal(await waiting.tryOnce(), undefined);
  assert.ok(isLate);
  assert.match(await store.leases.look(place) ?? "", /"holder":"dead"/);
});

test("of several places any free one will do, and each holder's silence is its own", async () => {
  const [clock, store] = [new FakeClock(), newStore()];
  const places = [0, 1, 2].map((number): LeasePlace => ({ kind: "save", number }));
  const alive = await seeker(clock, store, { places: places.slice(0, 1) }).tryOnce();
  await takeAndDie(store, places[1]);
  const waiting = seeker(clock, store, { places, holder: "waiting" });
  await using third = await waiting.tryOnce();
  assert.ok(third);
  assert.match(await store.leases.look({ kind: "save", number: 2 }) ?? "", /"holder":"waiting"/);
  const next = seeker(clock, store, { places, holder: "next" });
  assert.equal(await next.tryOnce(), undefined);
  await clock.advance(timeoutMs + 1);
  await using second = await next.tryOnce();
  assert.ok(second);
  assert.match(await store.leases.look({ kind: "save", number: 1 }) ?? "", /"holder":"next"/);
  await alive?.[Symbol.asyncDispose]();
});

test("places are tried in an order that chance decides", async () => {
  const places = [0, 1, 2, 3].map((number): LeasePlace => ({ kind: "save", number }));
  const fractions = [0.4, 0.1, 0.9, 0.3];
  const looked: LeasePlace[] = [];
  const leases = only<Leases>("leases", {
    look: (at) => (looked.push(at), Promise.resolve("held")),
  });
  const random = only<Random>("random", { fraction: () => fractions.shift() ?? assert.fail() });
  const store = only<Store>("store", { leases });
  assert.equal(await seeker(new FakeClock(), store, { places }, random).tryOnce(), undefined);
  assert.deepEqual(looked, [1, 3, 0, 2].map((number) => ({ kind: "save", number })));
});

test("between two tries a seeker waits longer each time, by chance, and about a second at most", async () => {
  for (const [fraction, factor] of [[0, 0.5], [0.5, 1], [0.999, 1.499]] as const) {
    const clock = new FakeClock();
    const random = only<Random>("random", { fraction: () => fraction });
    const waiting = seeker(clock, newStore(), {}, random);
    const waits: number[] = [];
    for (let at = 0; at < 9; at++) {
      const beganMs = clock.monotonicMs();
      await clock.run(waiting.pause(new AbortController().signal));
      waits.push(Math.round((clock.monotonicMs() - beganMs) / factor / 10) * 10);
    }
    assert.deepEqual(waits, [100, 150, 230, 340, 510, 760, 1000, 1000, 1000]);
  }
});

test("a pause ends when the operation is aborted, with the reason", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const reason = new Error("interrupted");
  const paused = assert.rejects(seeker(clock, newStore()).pause(controller.signal), reason);
  controller.abort(reason);
  await paused;
  assert.equal(clock.sleeping, 0);
});

/** A lease on paper: what is done to it, in order. */
function recordedLease(beat: () => Promise<void> = () => Promise.resolve()) {
  const done: string[] = [];
  const held: HeldLease = {
    beat: async () => {
      done.push("beat");
      await beat();
      done.push("beaten");
    },
    [Symbol.asyncDispose]: () => Promise.resolve(void done.push("freed")),
  };
  return { held, done };
}

/** CLEANUP_LOCK_TIMEOUT_SECONDS, and how often a holder beats: four times in it, and every 2 s in any case. */
const beatsOf: readonly (readonly [timeoutMs: number, beatMs: number])[] = [
  [1_000, 250],
  [8_000, 2_000],
  [30_000, 2_000],
  [3_600_000, 2_000],
];

test("a lease beats often enough for whoever watches it, from when it is held until it is disposed of", async () => {
  for (const [timeoutMs, beatMs] of beatsOf) {
    const [clock, store] = [new FakeClock(), newStore()];
    const lease = await seeker(clock, store, { timeoutMs }).tryOnce() ?? assert.fail();
    const before = await store.leases.look(place) ?? "";
    const beats = async (): Promise<number> => (await store.leases.look(place) ?? "").length - before.length;
    await clock.advance(beatMs - 1);
    assert.equal(await beats(), 0);
    await clock.advance(1);
    assert.equal(await beats(), 1);
    await clock.advance(5 * beatMs);
    assert.equal(await beats(), 6);
    await lease[Symbol.asyncDispose]();
    assert.equal(await store.leases.look(place), undefined);
  }
});

test("no beat follows once a lease is disposed of", async () => {
  const clock = new FakeClock();
  const { held, done } = recordedLease();
  const lease = new Lease(clock, held, 1_000);
  await clock.advance(2_500);
  await lease[Symbol.asyncDispose]();
  await clock.advance(10_000);
  assert.deepEqual(done, ["beat", "beaten", "beat", "beaten", "freed"]);
});

test("on a slow share a beat waits for the one before, and the lease is freed after the last", async () => {
  const clock = new FakeClock();
  const { held, done } = recordedLease(() => clock.sleep(3_500));
  const lease = new Lease(clock, held, 1_000);
  await clock.advance(4_400);
  // Those of 2 s, 3 s and 4 s were not begun.
  assert.deepEqual(done, ["beat"]);
  await clock.advance(600);
  assert.deepEqual(done, ["beat", "beaten", "beat"]);
  const disposed = lease[Symbol.asyncDispose]();
  await clock.advance(3_000);
  assert.deepEqual(done, ["beat", "beaten", "beat"]);
  await clock.run(disposed);
  assert.deepEqual(done, ["beat", "beaten", "beat", "beaten", "freed"]);
});
