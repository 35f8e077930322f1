/** Pods whose clocks are an hour or a day off, or jump back and forth: what is old the share's own time decides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { key } from "../pods.ts";
import { keyDir } from "./layout.ts";
import { first, history, othersAtWork, pruneable, second, third, uploadUnderWay } from "./scenarios.ts";
import { dayMs, Site } from "./site.ts";
import { isNaming, Sleeper } from "./sleeper.ts";
import { tell } from "./tell.ts";
import { plant, treeOf } from "./trees.ts";

const minuteMs = 60 * 1000;
const hourMs = 60 * minuteMs;

/** How far a wall clock is ahead of the share's, at each look in turn. */
const clocks: Readonly<Record<string, readonly number[]>> = {
  "an hour ahead": [hourMs],
  "an hour behind": [-hourMs],
  "a day ahead": [dayMs],
  "a day behind": [-dayMs],
  "jumping back and forth": [0, -hourMs, dayMs, -dayMs, hourMs],
};

/** As the default of CLEANUP_LOCK_TIMEOUT_SECONDS has it. */
const lockTimeoutMs = 30_000;

for (const [name, skewsMs] of Object.entries(clocks)) {
  test(`a lease whose holder is silent is taken over after the timeout by a pod ${name}`, async () => {
    const site = await Site.make("link");
    await plant(site.disk.files, "/saver", first);
    await plant(site.disk.files, "/other", third);
    const holder = new Sleeper(site, (at, process) => at.save(process, "/saver"), isNaming("layers"));
    await holder.stopped;
    const beforeMs = site.disk.nowMs;
    const { outcome } = await site.save(site.process({ skewsMs }), "/other");
    const waitedMs = site.disk.nowMs - beforeMs;
    assert.equal(outcome, "SUCCESS, generation 1");
    assert.ok(waitedMs > lockTimeoutMs && waitedMs < 3 * lockTimeoutMs, `it waited ${waitedMs} ms`);
    const woken = await holder.wake();
    assert.ok(woken.kind === "ran");
    assert.equal(woken.outcome, "SUCCESS, generation 2");
    assert.deepEqual(await site.loaded(), treeOf({ ...first, ...third }));
  });

  test(`a prune by a pod ${name} removes what is older than the grace, and nothing else`, async () => {
    const site = await Site.make("link");
    await pruneable(site);
    const expected = await site.loaded();
    const prune = () => site.prune(site.process({ skewsMs }), { keepLast: 2 });
    assert.equal((await prune()).outcome, `${key}: generations 0, layers 0`);
    site.disk.nowMs += dayMs - hourMs;
    assert.equal((await prune()).outcome, `${key}: generations 0, layers 0`);
    site.disk.nowMs += 2 * hourMs;
    assert.equal((await prune()).outcome, `${key}: generations 3, layers 4`);
    assert.deepEqual(await site.loaded(), expected);
  });

  test(`a save by a pod ${name} sweeps uploads and stagings of the dead, and no others`, async () => {
    const site = await Site.make("link");
    await history(site, [first]);
    await othersAtWork(site);
    await plant(site.disk.files, "/saver", second);
    const staging = `/saver/.b10-${"a".repeat(32)}`;
    await site.disk.files.mkdir(staging, 0o700);
    const unfinished = () => [uploadUnderWay, staging].filter((path) => site.look().has(path));
    site.disk.nowMs += minuteMs;
    assert.equal((await site.save(site.process({ skewsMs }), "/saver")).outcome, "SUCCESS, generation 2");
    assert.deepEqual(unfinished(), [uploadUnderWay, staging]);
    site.disk.nowMs += 2 * dayMs;
    // Whatever a clock that jumps has shown once, the next save looks again.
    for (let look = 0; look < 5; look++) await site.save(site.process({ skewsMs }), "/saver");
    assert.deepEqual(unfinished(), []);
  });

  test(`what a pod ${name} restores counts as used by the share's time`, async () => {
    const site = await Site.make("link");
    await history(site, [first, second]);
    site.disk.nowMs += 20 * hourMs;
    const target = site.aside();
    await plant(site.disk.files, target, {});
    await site.load(site.process({ skewsMs }), target);
    const used = site.look().get(`${keyDir}/used`);
    assert.equal(used?.mtimeNs, BigInt(Math.floor(site.disk.nowMs)) * 1_000_000n);
  });

  test(`a prune by a pod ${name} evicts what was not used for longer than it may be, and nothing else`, async (context) => {
    let pruned = 0;
    for (const usersSkewsMs of Object.values(clocks)) {
      const site = await Site.make("link");
      await history(site, [first, second]);
      site.disk.nowMs += 20 * hourMs;
      const target = site.aside();
      await plant(site.disk.files, target, {});
      await site.load(site.process({ skewsMs: usersSkewsMs }), target);
      const prune = () => site.prune(site.process({ skewsMs }), { maxAgeMs: 30 * hourMs });
      site.disk.nowMs += 20 * hourMs;
      assert.doesNotMatch((await prune()).outcome, /evicted/);
      site.disk.nowMs += 20 * hourMs;
      assert.match((await prune()).outcome, /evicted/);
      assert.deepEqual(await site.loaded(), {});
      pruned++;
    }
    await tell(context, `faults: evictions by a pod ${name}: ${pruned} clocks of users`);
  });
}
