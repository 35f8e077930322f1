import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CacheKey, parseKey } from "../lib/key.ts";
import { cachesToEvict, type CacheUsage, type PrunePolicy } from "../lib/prune_policy.ts";

function cache(name: string, storedBytes: number, idleMs: number): CacheUsage {
  return { key: parseKey(name, "key"), storedBytes, idleMs };
}

function evicted(caches: readonly CacheUsage[], policy: PrunePolicy): CacheKey[] {
  return cachesToEvict(caches, policy).map(({ key }) => key);
}

const caches = [cache("middle", 30, 200), cache("new", 50, 100), cache("old", 20, 300)];

test("an age evicts what was unused for longer, and not what was unused for exactly that long", () => {
  assert.deepEqual(evicted(caches, { maxAgeMs: 300 }), []);
  assert.deepEqual(evicted(caches, { maxAgeMs: 299 }), ["old"]);
  assert.deepEqual(evicted(caches, { maxAgeMs: 200 }), ["old"]);
  assert.deepEqual(evicted(caches, { maxAgeMs: 199 }), ["old", "middle"]);
  assert.deepEqual(evicted(caches, { maxAgeMs: 0 }), ["old", "middle", "new"]);
});

test("a total evicts the least recently used until the others fit, exactly full included", () => {
  assert.deepEqual(evicted(caches, { maxTotalBytes: 100 }), []);
  assert.deepEqual(evicted(caches, { maxTotalBytes: 99 }), ["old"]);
  assert.deepEqual(evicted(caches, { maxTotalBytes: 80 }), ["old"]);
  assert.deepEqual(evicted(caches, { maxTotalBytes: 79 }), ["old", "middle"]);
  assert.deepEqual(evicted(caches, { maxTotalBytes: 49 }), ["old", "middle", "new"]);
  assert.deepEqual(evicted(caches, { maxTotalBytes: 0 }), ["old", "middle", "new"]);
});

test("what its age evicts counts no more towards the total", () => {
  assert.deepEqual(evicted(caches, { maxAgeMs: 250, maxTotalBytes: 80 }), ["old"]);
  assert.deepEqual(evicted(caches, { maxAgeMs: 250, maxTotalBytes: 79 }), ["old", "middle"]);
});

test("a cache that a machine with another clock has used in the future is the last to go", () => {
  assert.deepEqual(evicted([cache("future", 10, -5), ...caches], { maxAgeMs: 0 }), ["old", "middle", "new"]);
});

test("generations to keep evict no cache, and neither does an empty policy", () => {
  assert.deepEqual(evicted(caches, { keepLast: 2 }), []);
  assert.deepEqual(evicted(caches, {}), []);
  assert.deepEqual(evicted([], { maxAgeMs: 0, maxTotalBytes: 0 }), []);
});

const anyCaches = fc.array(fc.tuple(fc.nat(100), fc.integer({ min: -5, max: 50 })), { maxLength: 12 }).map((
  rows,
) => rows.map(([bytes, idle], at) => cache(`k${at}`, bytes, idle)));

const anyPolicy: fc.Arbitrary<PrunePolicy> = fc.record(
  { maxAgeMs: fc.nat(55), maxTotalBytes: fc.nat(700) },
  { requiredKeys: [] },
);

function totalOf(some: readonly CacheUsage[]): number {
  return some.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
}

test("what is left obeys the policy, nothing goes that need not, and the least recently used goes first", () => {
  fc.assert(fc.property(anyCaches, anyPolicy, (all, policy) => {
    const { maxAgeMs = Infinity, maxTotalBytes = Infinity } = policy;
    const before = structuredClone(all);
    const gone = cachesToEvict(all, policy);
    assert.deepEqual(all, before);
    assert.equal(new Set(gone).size, gone.length);
    assert.ok(gone.every((one) => all.includes(one)));
    const left = all.filter((one) => !gone.includes(one));
    assert.ok(left.length === 0 || totalOf(left) <= maxTotalBytes);
    for (const { idleMs } of left) assert.ok(idleMs <= maxAgeMs);
    for (const [at, one] of gone.entries()) {
      const later = [...gone.slice(at + 1), ...left];
      for (const { idleMs } of later) assert.ok(one.idleMs >= idleMs);
      assert.ok(one.idleMs > maxAgeMs || totalOf([one, ...later]) > maxTotalBytes);
    }
  }));
});
