import assert from "node:assert/strict";
import { test } from "node:test";
import { waitUntilQuiet } from "../lib/quiet.ts";
import type { FileSystem } from "../lib/system.ts";
import { FakeClock } from "./fake_clock.ts";
import { only } from "./fake_system.ts";
import { failWith } from "./pods.ts";
import { statOf } from "./snapshots.ts";
import { cacheError } from "./store/examples.ts";

const roots = [{ name: "vllm", dir: "/caches/vllm" }];

/** One cache in which a single file was last written at these times. */
function cacheWith(clock: FakeClock, writtenAtMs: readonly number[]) {
  let looks = 0;
  const fs = only<FileSystem>("fs", {
    list: () => (looks++, Promise.resolve([{ name: "graph", kind: "file" as const }])),
    realPath: (path) => Promise.resolve(path),
    lstat: () => {
      const last = writtenAtMs.filter((at) => at <= clock.monotonicMs()).length;
      return Promise.resolve(statOf({ mtimeNs: BigInt(last) }));
    },
  });
  return { fs, looks: () => looks };
}

interface Waited {
  readonly atMs: number;
  readonly looks: number;
  /** The last writing that was seen. */
  readonly seen: bigint | undefined;
}

async function wait(
  writtenAtMs: readonly number[],
  { quietMs = 5_000, timeoutMs = 60_000 } = {},
): Promise<Waited> {
  const clock = new FakeClock();
  const { fs, looks } = cacheWith(clock, writtenAtMs);
  const signal = new AbortController().signal;
  const seen = await clock.run(waitUntilQuiet({ fs, clock }, roots, { quietMs, timeoutMs, signal }));
  assert.equal(clock.sleeping, 0);
  return { atMs: clock.monotonicMs(), looks: looks(), seen: seen.get("vllm/graph")?.mtimeNs };
}

test("caches that nobody writes to are quiet once they have been for as long as is asked", async () => {
  assert.deepEqual(await wait([]), { atMs: 5_000, looks: 6, seen: 0n });
});

test("each change begins the wait anew, from the look that found it", async () => {
  assert.deepEqual(await wait([500]), { atMs: 6_000, looks: 7, seen: 1n });
  assert.deepEqual(await wait([500, 2_500, 7_999]), { atMs: 13_000, looks: 14, seen: 3n });
});

test("a change in the last moment is seen", async () => {
  assert.deepEqual(await wait([5_000]), { atMs: 10_000, looks: 11, seen: 1n });
});

test("what never is quiet is waited for no longer than is said, and what is there then is returned", async () => {
  const always = Array.from({ length: 1_000 }, (_, at) => at * 500 + 250);
  const { atMs, seen } = await wait(always, { timeoutMs: 20_000 });
  assert.deepEqual([atMs, seen], [20_000, 40n]);
  assert.equal((await wait([], { timeoutMs: 3_500 })).atMs, 3_500);
});

test("without a wait one look will do", async () => {
  assert.deepEqual(await wait([], { quietMs: 0 }), { atMs: 0, looks: 1, seen: 0n });
  assert.deepEqual(await wait([], { timeoutMs: 0 }), { atMs: 0, looks: 1, seen: 0n });
});

test("a quiet of less than a second is looked for as often", async () => {
  assert.deepEqual(await wait([100], { quietMs: 200 }), { atMs: 400, looks: 3, seen: 1n });
});

test("an abort ends the wait at once, with its reason", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const options = { quietMs: 5_000, timeoutMs: 60_000, signal: controller.signal };
  const waiting = waitUntilQuiet({ ...cacheWith(clock, []), clock }, roots, options);
  await clock.advance(1_500);
  controller.abort(new Error("enough"));
  await assert.rejects(clock.run(waiting), /enough/);
  assert.deepEqual([clock.monotonicMs(), clock.sleeping], [1_500, 0]);
});

test("caches that cannot be looked at are local_io", async () => {
  const clock = new FakeClock();
  const fs = only<FileSystem>("fs", { list: failWith("EIO") });
  const options = { quietMs: 1, timeoutMs: 1, signal: new AbortController().signal };
  await assert.rejects(clock.run(waitUntilQuiet({ fs, clock }, roots, options)), cacheError("local_io"));
});
