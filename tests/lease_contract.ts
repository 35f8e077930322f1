/** What every store promises of its leases, as tests: a part of store_contract.ts. */
import assert from "node:assert/strict";
import { parseKey } from "../lib/key.ts";
import type { HeldLease, LeasePlace } from "../lib/store.ts";
import type { DeclarePromise } from "./store_contract.ts";

const key = parseKey("llama-8b", "key");

const places: readonly LeasePlace[] = [{ kind: "pack", key }, { kind: "save", number: 3 }];

const otherPlaces: readonly LeasePlace[] = [
  { kind: "pack", key: parseKey("llama-70b", "key") },
  { kind: "save", number: 0 },
  { kind: "save", number: 30 },
  { kind: "save", number: 103 },
];

export function leaseContract(promise: DeclarePromise): void {
  promise("a lease that is taken is nobody else's until it is disposed of", async (made) => {
    const pods = [made.store, await made.open()].map(({ leases }) => leases);
    for (const place of places) {
      for (const mine of pods) {
        assert.equal(await mine.look(place), undefined);
        const held = taken(await mine.take(place, "process 1 on a pod"));
        for (const theirs of pods) {
          assert.match(await theirs.look(place) ?? "", /process 1 on a pod/);
          assert.equal(await theirs.take(place, "process 2"), undefined);
          assert.match(await theirs.look(place) ?? "", /process 1 on a pod/);
        }
        await held[Symbol.asyncDispose]();
        for (const theirs of pods) assert.equal(await theirs.look(place), undefined);
      }
    }
  });

  promise("each place has a lease of its own", async ({ store: { leases } }) => {
    await using all = new AsyncDisposableStack();
    for (const [at, place] of [...places, ...otherPlaces].entries()) {
      assert.equal(await leases.look(place), undefined);
      all.use(taken(await leases.take(place, `holder ${at}`)));
    }
    for (const [at, place] of [...places, ...otherPlaces].entries()) {
      assert.match(await leases.look(place) ?? "", new RegExp(`holder ${at}"`));
    }
  });

  promise("every beat changes what a lease says", async ({ store, open }) => {
    const { leases } = await open();
    for (const place of places) {
      await using held = taken(await store.leases.take(place, "holder"));
      const seen = [await leases.look(place)];
      for (let beat = 0; beat < 3; beat++) {
        await held.beat();
        seen.push(await leases.look(place));
        // Looking changes nothing.
        assert.equal(await leases.look(place), seen.at(-1));
      }
      assert.equal(new Set(seen).size, 4);
    }
  });

  promise(
    "two leases of one holder on one place, one after the other, say different things",
    async ({ store }) => {
      for (const place of places) {
        const seen: (string | undefined)[] = [];
        for (let again = 0; again < 2; again++) {
          await using _ = taken(await store.leases.take(place, "holder"));
          seen.push(await store.leases.look(place));
        }
        assert.notEqual(seen[0], seen[1]);
      }
    },
  );

  promise("a lease is freed only while it says what the one who frees it saw", async ({ store, open }) => {
    const { leases } = await open();
    for (const place of places) {
      await using held = taken(await store.leases.take(place, "holder"));
      const before = await leases.look(place) ?? "";
      await held.beat();
      const after = await leases.look(place);
      for (const content of [before, "", `${after}.`]) await leases.free(place, content);
      assert.equal(await leases.look(place), after);
      await leases.free(place, after ?? "");
      assert.equal(await leases.look(place), undefined);
      // A free place is as good.
      await leases.free(place, after ?? "");
    }
  });

  promise(
    "a holder whose lease became another's neither beats nor frees that one's",
    async ({ store, open }) => {
      const { leases } = await open();
      for (const place of places) {
        const sleeper = taken(await store.leases.take(place, "sleeper"));
        await leases.free(place, await leases.look(place) ?? "");
        await using other = taken(await leases.take(place, "other"));
        const before = await leases.look(place);
        await sleeper.beat();
        assert.equal(await leases.look(place), before);
        await sleeper[Symbol.asyncDispose]();
        assert.equal(await leases.look(place), before);
        await other.beat();
        assert.notEqual(await leases.look(place), before);
      }
    },
  );

  promise("of many who take a lease at once one gets it", async (made) => {
    const pods = [made.store, await made.open(), await made.open()];
    for (const place of places) {
      await using all = new AsyncDisposableStack();
      const takes = Array.from(
        { length: 9 },
        (_, at) => (pods[at % pods.length] ?? made.store).leases.take(place, `holder ${at}`),
      );
      const held = (await Promise.all(takes)).map((lease, at) => ({ lease, at }))
        .filter(({ lease }) => lease !== undefined);
      for (const { lease } of held) all.use(lease);
      assert.equal(held.length, 1);
      assert.match(await made.store.leases.look(place) ?? "", new RegExp(`holder ${held[0]?.at}"`));
    }
  });
}

function taken(lease: HeldLease | undefined): HeldLease {
  return lease ?? assert.fail("the place is not free");
}
