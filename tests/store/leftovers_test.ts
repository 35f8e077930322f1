import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { openStore } from "../../lib/store/directory.ts";
import { FakeClock } from "../fake_clock.ts";
import { exampleKey as key, failure } from "./examples.ts";
import { Place, ways, type Wrap } from "./place.ts";

const nonce = "0123456789abcdef".repeat(2);
const hourMs = 60 * 60 * 1000;

/** What processes that died have left in a store, by where it lies below native/. */
const leftovers = [
  `format.json.new-${nonce}`,
  `format.json.torn-${nonce}`,
  ...["a", "b", "c", "d", "e"].map((letter) => `.probe-${nonce}.${letter}`),
  ...["tar.zst", "json", "mark", "used", "lease", "now", "swept"].map((kind) =>
    `${key}/incoming/${nonce}.${kind}`
  ),
  `leases/incoming/${nonce}.lease`,
];

/** What is no leftover, however old it is. */
const others = [
  "format.json.new-",
  `format.json.new-${nonce}x`,
  `format.json.old-${nonce}`,
  `.probe-${nonce}.f`,
  `.probe-${nonce.slice(1)}.a`,
  `x.probe-${nonce}.a`,
  "notes.txt",
  `${key}/notes.txt`,
  `${key}/lease.json`,
  `${key}/marks/${nonce}.json`,
  `${key}/layers/${nonce}.tar.zst`,
  `${key}/generations/0000000009.json`,
  `${key}/incoming/notes.txt`,
  "leases/save-00.json",
  "leases/incoming/notes.txt",
  "other-key/incoming/notes.txt",
  `other-key/incoming/${nonce}.tar.zst`,
];

async function withStore(act: (place: Place, sweep: (maxAgeMs: number) => Promise<void>) => Promise<void>) {
  for (const { wrap } of ways) {
    using place = new Place();
    const store = await place.openOrCreate(wrap);
    await store.putGeneration(key, 1, new Uint8Array(1));
    await act(place, (maxAgeMs) => store.sweep(key, maxAgeMs));
  }
}

const filesOf = (place: Place) => place.tree().filter((name) => !name.endsWith("/"));

test("sweep() removes what killed processes left once it is old enough, and nothing else", () =>
  withStore(async (place, sweep) => {
    const before = filesOf(place);
    for (const name of [...leftovers, ...others]) place.writeOld(name, "left", 2 * hourMs);
    await sweep(2 * hourMs);
    assert.deepEqual(filesOf(place), [...before, ...leftovers, ...others].toSorted());
    await sweep(2 * hourMs - 1);
    assert.deepEqual(filesOf(place), [...before, ...others].toSorted());
  }));

test("format.json itself stays, whatever its age", () =>
  withStore(async (place, sweep) => {
    const old = place.clock.nowMs() / 1000 - 1e8;
    for (const name of place.tree()) fs.utimesSync(place.at(name), old, old);
    const before = place.tree();
    await sweep(1);
    assert.deepEqual(place.tree(), before);
    assert.ok(await place.open());
  }));

test("a directory that stood for a name, on its way in or out, is removed with what is in it", () =>
  withStore(async (place, sweep) => {
    const dirs = [`${key}/incoming/${nonce}.json`, `leases/incoming/${nonce}.lease`, `.probe-${nonce}.d`];
    const past = place.clock.nowMs() / 1000 - 7200;
    for (const dir of dirs) {
      place.write(`${dir}/content`, "half");
      fs.utimesSync(place.at(dir), past, past);
    }
    await sweep(hourMs);
    for (const dir of dirs) assert.ok(!fs.existsSync(place.at(dir)), dir);
  }));

test("ages are told by the share's clock: a machine whose clock is ahead removes nothing that is young", async () => {
  for (const offMs of [24 * hourMs, hourMs, -hourMs, -24 * hourMs]) {
    using place = new Place();
    await (await place.openOrCreate()).putGeneration(key, 1, new Uint8Array(1));
    const [young = "", old = ""] = leftovers;
    place.writeOld(young, "left", hourMs - 1_000);
    place.writeOld(old, "left", 26 * hourMs);
    const clock = new FakeClock(place.clock.nowMs() + offMs);
    const store = await openStore({ ...place.world(), clock }, place.dir) ?? assert.fail();
    await store.sweep(key, hourMs);
    assert.deepEqual(
      [fs.existsSync(place.at(young)), fs.existsSync(place.at(old))],
      [true, false],
      `${offMs}`,
    );
  }
});

test("where nothing looks old a sweep writes nothing", () =>
  withStore(async (place) => {
    place.writeOld(leftovers[0] ?? "", "left", hourMs);
    for (const name of others) place.writeOld(name, "no leftover", 9 * hourMs);
    let writes = 0;
    const reading: Wrap = (over) => ({
      ...over,
      open: (file, mode) =>
        mode === "r" ? over.open(file, mode) : (writes++, Promise.reject(failure("EROFS"))),
    });
    const store = await place.opened(reading);
    await store.sweep(key, hourMs);
    assert.equal(writes, 0);
    // On a share that cannot be written to, what is old stays: that is no failure of the saver's.
    await store.sweep(key, hourMs - 1);
    assert.equal(writes, 1);
    assert.ok(fs.existsSync(place.at(leftovers[0] ?? "")));
  }));

test("a sweep that dies between its two steps is ended by the next one", () =>
  withStore(async (place, sweep) => {
    const [name = ""] = leftovers;
    place.writeOld(name, "left", 2 * hourMs);
    const dying: Wrap = (over) => ({ ...over, unlink: () => Promise.reject(failure("EIO")) });
    await (await place.opened(dying)).sweep(key, hourMs);
    assert.ok(!fs.existsSync(place.at(name)));
    const away = filesOf(place).filter((each) => each.includes("/incoming/"));
    assert.ok(away.some((each) => each.endsWith(".swept")));
    // Its age is that of what was swept; the file that told the time is as old as the sweep.
    await sweep(hourMs);
    assert.deepEqual(filesOf(place).filter((each) => each.endsWith(".swept")), []);
  }));
