import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import type { HeldLease, LeasePlace, Store } from "../../lib/store.ts";
import { intercept } from "../pods.ts";
import { cacheError, exampleKey as key } from "./examples.ts";
import { failEachCall, Faults, withoutFsync } from "./faults.ts";
import { Place, unfinished, ways, type Wrap } from "./place.ts";

const examples: readonly { place: LeasePlace; file: string }[] = [
  { place: { kind: "pack", key }, file: `${key}/lease.json` },
  { place: { kind: "save", number: 3 }, file: "leases/save-03.json" },
];

/** Calls `act` for each place in a store of each way. @param act gets the file that holds the lease's text. */
async function everyLease(
  act: (at: { made: Place; wrap: Wrap; place: LeasePlace; name: string; file: string }) => Promise<void>,
): Promise<void> {
  for (const { commit, wrap } of ways) {
    for (const { place, file } of examples) {
      using made = new Place();
      await made.openOrCreate(wrap);
      const name = made.at(file);
      await act({ made, wrap, place, name, file: commit === "link" ? name : `${name}/content` });
    }
  }
}

async function take({ leases }: Store, place: LeasePlace, holder = "holder"): Promise<HeldLease> {
  return await leases.take(place, holder) ?? assert.fail("the place is not free");
}

test("a lease is a line that says whose it is, and a byte for each beat", () =>
  everyLease(async ({ made, wrap, place, file }) => {
    await using held = await take(await made.opened(wrap), place, 'process 1, "pod"');
    const line = /^\{"nonce":"[0-9a-f]{32}","holder":"process 1, \\"pod\\""\}\n$/;
    const before = fs.readFileSync(file, "utf8");
    assert.match(before, line);
    await held.beat();
    await held.beat();
    assert.equal(fs.readFileSync(file, "utf8"), `${before}..`);
    assert.deepEqual(unfinished(made).filter((name) => !name.startsWith("leases/")), []);
  }));

test("a lease that beats while it is freed goes back to its place", () =>
  everyLease(async ({ made, wrap, place, name, file }) => {
    const beating: Wrap = (over) => ({
      ...wrap(over),
      rename: async (from, to) => {
        if (from === name) fs.appendFileSync(file, ".");
        await wrap(over).rename(from, to);
      },
    });
    const held = await take(await made.opened(wrap), place);
    const { leases } = await made.opened(beating);
    const before = await leases.look(place) ?? "";
    await leases.free(place, before);
    assert.equal(await leases.look(place), `${before}.`);
    assert.deepEqual(namesIncoming(made), []);
    await held[Symbol.asyncDispose]();
    assert.equal(await leases.look(place), undefined);
  }));

test("a lease that is to go back finds its place taken: the new holder's stays", () =>
  everyLease(async ({ made, wrap, place, name, file }) => {
    const store = await made.opened(wrap);
    let other: HeldLease | undefined;
    const racing: Wrap = (over) => ({
      ...wrap(over),
      rename: async (from, to) => {
        const isTakenAway = from === name;
        if (isTakenAway) fs.appendFileSync(file, ".");
        await wrap(over).rename(from, to);
        if (isTakenAway) other = await take(store, place, "the new holder");
      },
    });
    await using _ = await take(store, place);
    const { leases } = await made.opened(racing);
    await leases.free(place, await leases.look(place) ?? "");
    assert.match(await leases.look(place) ?? "", /the new holder/);
    assert.deepEqual(namesIncoming(made), []);
    await other?.[Symbol.asyncDispose]();
    assert.equal(await leases.look(place), undefined);
  }));

function namesIncoming(made: Place): string[] {
  return made.tree().filter((name) => /incoming\/./.test(name)).map((name) => path.basename(name));
}

test("whichever call fails while a lease is taken, nothing stays open, and the place can be had", async () => {
  for (const { wrap } of ways) {
    for (const { place } of examples) {
      const failed = await failEachCall("EIO", async (faults, arm) => {
        using made = new Place();
        const store = await made.openOrCreate((over) => faults.over(wrap(withoutFsync(over))));
        arm();
        const held = await store.leases.take(place, "holder").catch((error: unknown) => {
          assert.ok(cacheError("store_io", /EIO/)(error), String(error));
          return undefined;
        });
        faults.heal();
        assert.equal(faults.openFiles, held ? 1 : 0, faults.last);
        await held?.[Symbol.asyncDispose]();
        // What a failed take left there, or a failed dispose, never beats: it is freed as any dead holder's.
        const left = await store.leases.look(place);
        if (left !== undefined) await store.leases.free(place, left);
        await (await take(store, place))[Symbol.asyncDispose]();
        assert.equal(await store.leases.look(place), undefined);
        assert.equal(faults.openFiles, 0, faults.last);
      });
      assert.ok(failed > 5, `only ${failed} calls were made to fail`);
    }
  }
});

test("whichever call fails while a lease is given back, its holder hears nothing of it", async () => {
  const place: LeasePlace = { kind: "pack", key };
  for (const { wrap } of ways) {
    const failed = await failEachCall("EIO", async (faults, arm) => {
      using made = new Place();
      const store = await made.openOrCreate((over) => faults.over(wrap(withoutFsync(over))));
      const held = await take(store, place);
      arm();
      await held[Symbol.asyncDispose]();
      faults.heal();
      assert.equal(faults.openFiles, 0, faults.last);
      const left = await store.leases.look(place);
      if (left !== undefined) await store.leases.free(place, left);
      assert.equal(await store.leases.look(place), undefined, faults.last);
    });
    assert.ok(failed > 3, `only ${failed} calls were made to fail`);
  }
});

test("a beat that fails is no failure of its holder", () =>
  everyLease(async ({ made, wrap, place }) => {
    await using faults = new Faults();
    const store = await made.opened((over) => faults.over(wrap(over)));
    await using held = await take(store, place);
    for (const call of ["append", "sync"]) {
      faults.fail("EIO", [call]);
      await held.beat();
    }
    faults.heal();
    const before = await store.leases.look(place);
    await held.beat();
    assert.notEqual(await store.leases.look(place), before);
  }));

/** Records the calls of these names that are made on a file system and its open files. */
function recording(wrap: Wrap, names: readonly string[]): { wrap: Wrap; calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    wrap: (over) =>
      intercept(wrap(over), ({ name }) => {
        if (names.includes(name)) calls.push(name);
      }),
  };
}

test("a beat is flushed: what a network file system has not sent is not seen by others", () =>
  everyLease(async ({ made, wrap, place }) => {
    const recorded = recording(wrap, ["append", "sync"]);
    await using held = await take(await made.opened(recorded.wrap), place);
    recorded.calls.length = 0;
    await held.beat();
    assert.deepEqual(recorded.calls, ["append", "sync"]);
  }));

test("a lease that says something else than whoever frees it saw is not moved, not even for a moment", () =>
  everyLease(async ({ made, wrap, place }) => {
    const recorded = recording(wrap, ["rename"]);
    await using held = await take(await made.opened(wrap), place);
    const { leases } = await made.opened(recorded.wrap);
    const before = await leases.look(place) ?? "";
    await held.beat();
    await leases.free(place, before);
    assert.deepEqual(recorded.calls, []);
  }));

test("a lease that two take away at once is free, and neither fails", () =>
  everyLease(async ({ made, wrap, place, name }) => {
    const first = await made.opened(wrap);
    const racing: Wrap = (over) => ({
      ...wrap(over),
      rename: async (from, to) => {
        if (from === name) await first.leases.free(place, await first.leases.look(place) ?? "");
        await wrap(over).rename(from, to);
      },
    });
    const second = await made.opened(racing);
    const held = await take(first, place);
    await second.leases.free(place, await second.leases.look(place) ?? "");
    assert.equal(await first.leases.look(place), undefined);
    await held[Symbol.asyncDispose]();
  }));

test("a share that fails is store_io, and never a free place", () =>
  everyLease(async ({ made, wrap, place }) => {
    await using faults = new Faults();
    const store = await made.opened((over) => faults.over(wrap(over)));
    await using _ = await take(store, place);
    for (const errno of ["EIO", "EACCES"]) {
      faults.fail(errno, ["open"]);
      for (const act of [() => store.leases.look(place), () => store.leases.take(place, "other")]) {
        await assert.rejects(act, cacheError("store_io", new RegExp(errno)));
      }
      faults.heal();
    }
  }));

test("a lease that was cut off by a crash is one that never beats: it is freed by what it says", () =>
  everyLease(async ({ made, wrap, place, name, file }) => {
    const { leases } = await made.opened(wrap);
    for (const text of ["", '{"nonce":"12', "\0\0"]) {
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, text);
      fs.mkdirSync(path.join(path.dirname(name), "incoming"), { recursive: true });
      assert.equal(await leases.take(place, "holder"), undefined);
      assert.equal(await leases.look(place), text);
      await leases.free(place, text);
      assert.equal(await leases.look(place), undefined);
    }
  }));
