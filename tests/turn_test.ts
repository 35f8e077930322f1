import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "../lib/config.ts";
import { CacheError } from "../lib/errors.ts";
import { type CacheKey, parseKey } from "../lib/key.ts";
import type { Operation } from "../lib/operation.ts";
import type { LeasePlace, Store } from "../lib/store.ts";
import { memoryStore } from "../lib/store/memory.ts";
import type { Host } from "../lib/system.ts";
import { realRandom } from "../lib/system/clock.ts";
import { Turn } from "../lib/turn.ts";
import { FakeClock } from "./fake_clock.ts";
import { fakeSystem, only } from "./fake_system.ts";

const key = parseKey("llama-8b", "key");
const packPlace: LeasePlace = { kind: "pack", key };
const saveTimeoutMs = 600_000;
const lockTimeoutMs = 30_000;

class World implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly store: Store = memoryStore({ random: realRandom, clock: this.clock });
  readonly said: string[] = [];
  readonly controller = new AbortController();
  readonly #turns = new AsyncDisposableStack();

  /** One saver's turn. @param places MAX_CONCURRENT_SAVES */
  turn(options: { key?: CacheKey; places?: number; store?: Store } = {}): Turn {
    const pod = { homeDir: "/root", torchCacheDir: "/tmp/x", shareMounted: true };
    const operation = only<Operation>("operation", {
      system: fakeSystem({
        clock: this.clock,
        random: realRandom,
        host: only<Host>("host", { pid: 4711, name: "pod-1" }),
      }),
      config: {
        ...readSettings({ flags: {}, env: {}, pod }).config,
        maxConcurrentSaves: options.places ?? 50,
      },
      key: options.key ?? key,
      signal: this.controller.signal,
      inform: (text) => this.said.push(text),
    });
    return this.#turns.use(new Turn(operation, options.store ?? this.store));
  }

  /** Asks until it is this saver's turn, as a save does. @returns how long that took. */
  async waitFor(turn: Turn): Promise<number> {
    const beganMs = this.clock.monotonicMs();
    const deadlineMs = beganMs + saveTimeoutMs;
    while (!await this.clock.run(turn.take(deadlineMs)));
    return this.clock.monotonicMs() - beganMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turns.disposeAsync();
  }
}

const savePlaces = (count: number) =>
  Array.from({ length: count }, (_, number): LeasePlace => ({ kind: "save", number }));

async function heldPlaces(store: Store, count: number): Promise<number> {
  const looks = await Promise.all(savePlaces(count).map((place) => store.leases.look(place)));
  return looks.filter((content) => content !== undefined).length;
}

const waitingForPacker = "waiting for another pod that is packing this cache";

test("a saver's first asking takes both leases, and has it look at the store anew", async () => {
  await using world = new World();
  const turn = world.turn({ places: 2 });
  assert.equal(turn.isPacker, false);
  assert.equal(await turn.take(saveTimeoutMs), false);
  assert.equal(turn.isPacker, true);
  assert.match(
    await world.store.leases.look(packPlace) ?? "",
    /"holder":"process 4711 on pod-1, since 2026-01-01T00:00:00\.000Z by its clock"/,
  );
  assert.equal(await heldPlaces(world.store, 2), 1);
  assert.equal(await turn.take(saveTimeoutMs), true);
  assert.equal(await heldPlaces(world.store, 2), 1);
  assert.deepEqual(world.said, []);
  assert.equal(world.clock.monotonicMs(), 0);
});

test("what a turn holds is free once it is disposed of", async () => {
  await using world = new World();
  const turn = world.turn({ places: 2 });
  await turn.take(saveTimeoutMs);
  await turn[Symbol.asyncDispose]();
  assert.equal(await world.store.leases.look(packPlace), undefined);
  assert.equal(await heldPlaces(world.store, 2), 0);
});

test("a saver waits for the one that packs the same key a moment at a time, and says so once", async () => {
  await using world = new World();
  const [first, second] = [world.turn(), world.turn()];
  await world.waitFor(first);
  for (let ask = 0; ask < 5; ask++) {
    const beganMs = world.clock.monotonicMs();
    // Each time it is to look at the store: what it would save may be there by now.
    assert.equal(await world.clock.run(second.take(saveTimeoutMs)), false);
    assert.ok(world.clock.monotonicMs() > beganMs);
    assert.equal(second.isPacker, false);
  }
  assert.deepEqual(world.said, [waitingForPacker]);
  // One that waits to pack takes nobody's place among those that save.
  assert.equal(await heldPlaces(world.store, 50), 1);
  await first[Symbol.asyncDispose]();
  assert.ok(await world.waitFor(second) < 2_000);
  assert.equal(second.isPacker, true);
});

test("a saver that could not ask for a place does not wait for the packer's lease, which it has", async () => {
  await using world = new World();
  const { leases } = world.store;
  let failures = 1;
  const look = (place: LeasePlace) => {
    if (place.kind === "save" && failures-- > 0) throw new CacheError("store_io", "The share fails");
    return leases.look(place);
  };
  const turn = world.turn({ store: { ...world.store, leases: { ...leases, look } } });
  await assert.rejects(turn.take(saveTimeoutMs), { code: "store_io" });
  assert.equal(await world.waitFor(turn), 0);
  assert.ok(turn.isPacker);
  assert.deepEqual(world.said, []);
});

test("savers of different keys do not wait for one another", async () => {
  await using world = new World();
  await world.waitFor(world.turn());
  assert.equal(await world.waitFor(world.turn({ key: parseKey("llama-70b", "key") })), 0);
  assert.deepEqual(world.said, []);
});

test("after half of its time a saver goes on without the packer's lease, and is no packer", async () => {
  await using world = new World();
  const [first, second] = [world.turn(), world.turn()];
  await world.waitFor(first);
  await world.clock.advance(1_000_000);
  const waitedMs = await world.waitFor(second);
  assert.ok(waitedMs > saveTimeoutMs / 2 && waitedMs < saveTimeoutMs / 2 + 2_000, `${waitedMs} ms`);
  assert.equal(second.isPacker, false);
  assert.equal(first.isPacker, true);
  assert.equal(await heldPlaces(world.store, 50), 2);
});

test("a packer that died is waited for no longer than CLEANUP_LOCK_TIMEOUT_SECONDS", async () => {
  await using world = new World();
  await world.store.leases.take(packPlace, "dead");
  const turn = world.turn();
  const waitedMs = await world.waitFor(turn);
  assert.ok(waitedMs > lockTimeoutMs && waitedMs < lockTimeoutMs + 2_000, `${waitedMs} ms`);
  assert.equal(turn.isPacker, true);
});

test("as many save at once as MAX_CONCURRENT_SAVES says, and the next one waits for one of them", async () => {
  await using world = new World();
  const turnOf = (name: string) => world.turn({ key: parseKey(name, "key"), places: 2 });
  const [first, second, third] = [turnOf("a"), turnOf("b"), turnOf("c")];
  assert.equal(await world.waitFor(first), 0);
  assert.equal(await world.waitFor(second), 0);
  assert.deepEqual(world.said, []);
  const waiting = third.take(saveTimeoutMs);
  await world.clock.advance(100_000);
  assert.deepEqual(world.said, [
    "waiting for one of the 2 places, MAX_CONCURRENT_SAVES, for those that save at once",
  ]);
  assert.equal(await heldPlaces(world.store, 3), 2);
  await first[Symbol.asyncDispose]();
  assert.equal(await world.clock.run(waiting), false);
  assert.ok(world.clock.monotonicMs() < 102_000);
  assert.equal(await heldPlaces(world.store, 3), 2);
  assert.equal(await third.take(saveTimeoutMs), true);
});

test("where no place becomes free until the deadline it is contended, with the number and the settings", async () => {
  await using world = new World();
  await world.waitFor(world.turn({ places: 1 }));
  const late = world.turn({ key: parseKey("another", "key"), places: 1 });
  const deadlineMs = world.clock.monotonicMs() + 20_000;
  await assert.rejects(world.clock.run(late.take(deadlineMs)), (error) => {
    assert.ok(error instanceof CacheError);
    assert.equal(error.code, "contended");
    assert.equal(
      error.message,
      "Cannot save as one of the 1 place, MAX_CONCURRENT_SAVES, for those that save at once did not become free " +
        "within 600 s, B10_CACHE_SAVE_TIMEOUT_S; the next save tries again",
    );
    return true;
  });
  const overMs = world.clock.monotonicMs() - deadlineMs;
  assert.ok(overMs > 0 && overMs < 2_000, `${overMs} ms`);
  await late[Symbol.asyncDispose]();
  // Nor does it keep the others from packing.
  assert.equal(await world.store.leases.look({ kind: "pack", key: parseKey("another", "key") }), undefined);
});

test("the places of savers that died are taken over", async () => {
  await using world = new World();
  for (const place of savePlaces(3)) await world.store.leases.take(place, "dead");
  const waitedMs = await world.waitFor(world.turn({ places: 3 }));
  assert.ok(waitedMs > lockTimeoutMs && waitedMs < lockTimeoutMs + 2_000, `${waitedMs} ms`);
});

test("whoever waits, for the packer or for a place, ends at once when it is told to", async () => {
  for (const key of [parseKey("llama-8b", "key"), parseKey("another", "key")]) {
    await using world = new World();
    await world.waitFor(world.turn({ places: 1 }));
    const reason = new CacheError("interrupted", "interrupted by SIGTERM");
    const waiting = world.turn({ key, places: 1 }).take(saveTimeoutMs);
    const ended = assert.rejects(waiting, reason);
    await world.clock.advance(50);
    world.controller.abort(reason);
    await ended;
    assert.equal(world.clock.sleeping, 0);
  }
});
