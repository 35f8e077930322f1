import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { type Store, useNoteIntervalMs } from "../../lib/store.ts";
import { openStore } from "../../lib/store/directory.ts";
import { FakeClock } from "../fake_clock.ts";
import { exampleKey as key } from "./examples.ts";
import { Faults } from "./faults.ts";
import { Place } from "./place.ts";

const hourMs = useNoteIntervalMs;
const minuteMs = 60_000;

/** The store as a machine opens it whose clock is so far from the share's. */
async function opened(place: Place, offMs: number): Promise<Store> {
  const clock = new FakeClock(place.clock.nowMs() + offMs);
  return await openStore({ ...place.world(), clock }, place.dir) ?? assert.fail();
}

/** How far a machine's clock is off, how long ago a use was noted, and whether it notes another. */
const skews: readonly (readonly [offMs: number, agoMs: number, notes: boolean])[] = [
  [0, 0, false],
  [0, hourMs - 1_000, false],
  [0, hourMs, true],
  // One whose clock is off notes too often, rather than never.
  [24 * hourMs, minuteMs, true],
  [-24 * hourMs, minuteMs, true],
  [-24 * hourMs, 25 * hourMs, true],
  [-hourMs + minuteMs, 0, false],
  // Off by as much as the use is old: it looks fresh, until that has passed.
  [-2 * hourMs, 2 * hourMs + minuteMs, false],
  [-2 * hourMs, 3 * hourMs, true],
];

test("a use is noted where the last one looks an hour old by this machine's clock, or an hour ahead", async () => {
  for (const [offMs, agoMs, notes] of skews) {
    using place = new Place();
    const first = await place.openOrCreate();
    await first.putGeneration(key, 1, new Uint8Array(1));
    await first.noteUse(key);
    const notedMs = place.clock.nowMs();
    place.clock.setWallClock(notedMs + agoMs);
    await (await opened(place, offMs)).noteUse(key);
    const lastMs = await first.lastUseMs(key);
    // By the share's clock in any case.
    assert.equal(lastMs, notes ? notedMs + agoMs : notedMs, `${offMs} ${agoMs}`);
    assert.deepEqual(place.tree(`${key}/incoming`), []);
  }
});

test("a use is noted by a new file: setting the old one's time would take this machine's clock", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  await store.putGeneration(key, 1, new Uint8Array(1));
  await store.noteUse(key);
  const { ino } = fs.statSync(place.at(`${key}/used`));
  fs.linkSync(place.at(`${key}/used`), place.at("kept"));
  place.clock.setWallClock(place.clock.nowMs() + hourMs);
  await store.noteUse(key);
  assert.notEqual(fs.statSync(place.at(`${key}/used`)).ino, ino);
  assert.equal(fs.statSync(place.at(`${key}/used`)).size, 0);
});

test("a note that cannot take its place leaves the old one, and nothing beside it", async () => {
  using place = new Place();
  await using faults = new Faults();
  const store = await place.openOrCreate(faults.over);
  await store.putGeneration(key, 1, new Uint8Array(1));
  await store.noteUse(key);
  const firstMs = place.clock.nowMs();
  place.clock.setWallClock(firstMs + hourMs);
  for (const call of ["rename", "chmod"]) {
    faults.fail("EIO", [call]);
    await store.noteUse(key);
    faults.heal();
    assert.equal(await store.lastUseMs(key), firstMs);
    assert.deepEqual(place.tree(`${key}/incoming`), [], call);
  }
});
