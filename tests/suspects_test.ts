import assert from "node:assert/strict";
import * as path from "node:path";
import { test } from "node:test";
import { CacheError } from "../lib/errors.ts";
import { parseKey } from "../lib/key.ts";
import { readMarks } from "../lib/marks.ts";
import { PodState } from "../lib/pod_state.ts";
import type { Store } from "../lib/store.ts";
import { memoryStore } from "../lib/store/memory.ts";
import { noteSuspect, readSuspects } from "../lib/suspects.ts";
import { FakeClock } from "./fake_clock.ts";
import { atEveryCall, countingRandom, intercept, key, realFiles, withDirectory } from "./pods.ts";

const content = "c0".repeat(32);
const other = "d1".repeat(32);
const random = countingRandom();

interface Place {
  readonly store: Store;
  readonly state: PodState;
  /** A state that cannot be written to, nor read. */
  readonly noState: PodState;
}

function withPlace(act: (place: Place) => Promise<void>): Promise<void> {
  return withDirectory((dir) =>
    act({
      store: memoryStore({ clock: new FakeClock(), random }),
      state: new PodState({ fs: realFiles, random }, dir),
      noState: new PodState({ fs: realFiles, random }, path.join(dir, "absent")),
    })
  );
}

function failing(store: Store, names: readonly string[]): Store {
  return intercept(store, ({ name }) => {
    if (names.includes(name)) throw new CacheError("store_io", "the share failed");
  });
}

test("a suspect is noted in the store, for every pod, and nowhere else", () =>
  withPlace(async ({ store, state }) => {
    assert.equal(await noteSuspect({ store, key, state }, content), "store");
    assert.deepEqual(await readSuspects(store, key, undefined), new Set([content]));
    assert.deepEqual(await state.suspects(), new Set());
  }));

test("it is noted once in the store, however many servers die of it", () =>
  withPlace(async ({ store, state }) => {
    for (const each of [content, content, other, content]) await noteSuspect({ store, key, state }, each);
    assert.equal((await readMarks(store, key)).length, 2);
    assert.deepEqual(await readSuspects(store, key, state), new Set([content, other]));
  }));

test("it is a suspect of its own environment alone", () =>
  withPlace(async ({ store }) => {
    await noteSuspect({ store, key, state: undefined }, content);
    assert.deepEqual(await readSuspects(store, parseKey("another", "key"), undefined), new Set());
  }));

test("where the store may not or cannot be written to it is noted on this pod", async () => {
  for (const names of [undefined, ["putMark"], ["marks", "putMark"], ["marks"]]) {
    await withPlace(async ({ store, state }) => {
      const given = names && failing(store, names);
      assert.equal(await noteSuspect({ store: given, key, state }, content), "pod");
      assert.deepEqual(await readSuspects(store, key, state), new Set([content]));
      assert.deepEqual(await readSuspects(store, key, undefined), new Set());
    });
  }
});

test("where neither can be written to it is noted nowhere, and nothing is thrown", () =>
  withPlace(async ({ store, noState }) => {
    for (const state of [undefined, noState]) {
      assert.equal(await noteSuspect({ store: undefined, key, state }, content), undefined);
      assert.equal(await noteSuspect({ store: failing(store, ["putMark"]), key, state }, content), undefined);
    }
    assert.deepEqual(await readSuspects(store, key, noState), new Set());
  }));

test("whichever call on the store fails, it is noted in one place", async () => {
  const calls = await atEveryCall((point) =>
    withPlace(async ({ store, state }) => {
      const given = intercept(
        store,
        point.once(() => {
          throw new CacheError("store_io", "the share failed");
        }),
      );
      const noted = await noteSuspect({ store: given, key, state }, content);
      assert.equal(noted, point.reached ? "pod" : "store");
      assert.deepEqual(await readSuspects(store, key, state), new Set([content]));
    })
  );
  assert.deepEqual(calls, ["marks", "putMark"]);
});

test("marks that cannot be read accuse nobody; what this pod has noted still counts", () =>
  withPlace(async ({ store, state }) => {
    await noteSuspect({ store, key, state }, content);
    await state.noteSuspect(other);
    assert.deepEqual(await readSuspects(failing(store, ["marks"]), key, state), new Set([other]));
  }));

test("what is no content ID is not put into the store", () =>
  withPlace(async ({ store, state }) => {
    for (const text of ["", "c0", `${content}0`, "../../format.json"]) {
      await noteSuspect({ store, key, state }, text);
      assert.deepEqual(await readSuspects(store, key, undefined), new Set(), text);
    }
  }));
