import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CacheError } from "../lib/errors.ts";
import { findHead, lookAt, readGeneration, refuseBurnedHistory } from "../lib/history.ts";
import { parseKey } from "../lib/key.ts";
import { encodeGeneration, type Manifest, maxGenerationNumber } from "../lib/manifest.ts";
import type { Store } from "../lib/store.ts";
import { only } from "./fake_system.ts";
import { cacheError, exampleKey as key, exampleManifest, exampleStoreId, sealed } from "./store/examples.ts";

function generation(n: number, overrides: Partial<Manifest> = {}): Uint8Array {
  return encodeGeneration(exampleManifest({ n, parent: null, ...overrides })).bytes;
}

const torn = generation(1).subarray(0, 100);

interface FakeHistory {
  readonly store: Store;
  /** The numbers that were read, in order. */
  readonly reads: number[];
}

/**
 * A store that lists `listed` (by default what is there), and whose files answer each read with the next of their
 * answers, and with the last one from then on.
 */
function historyOf(
  files: Readonly<Record<number, Uint8Array | readonly (Uint8Array | undefined)[]>>,
  listed: readonly number[] = Object.keys(files).map(Number),
): FakeHistory {
  const reads: number[] = [];
  const store = only<Store>("store", {
    id: exampleStoreId,
    signatures: {},
    generationNumbers: () => Promise.resolve([...listed]),
    readGeneration: (_, n) => {
      const earlier = reads.filter((read) => read === n).length;
      reads.push(n);
      const answers = files[n];
      return Promise.resolve(
        answers === undefined || answers instanceof Uint8Array
          ? answers
          : answers[Math.min(earlier, answers.length - 1)],
      );
    },
  });
  return { store, reads };
}

async function headOf({ store }: FakeHistory): Promise<{ n: number | undefined; next: number }> {
  const head = await findHead(store, key);
  return { n: head.generation?.manifest.n, next: head.next };
}

test("findHead() finds nothing in an empty history, whose first number is 1", async () => {
  assert.deepEqual(await findHead(historyOf({}).store, key), { generation: undefined, next: 1 });
});

test("findHead() gives the newest valid generation, with the digest its successor names", async () => {
  const head = await findHead(historyOf({ 1: generation(1), 2: generation(2) }).store, key);
  const { sha256 } = encodeGeneration(exampleManifest({ n: 2, parent: null }));
  assert.deepEqual(head, {
    generation: { manifest: exampleManifest({ n: 2, parent: null }), sha256 },
    next: 3,
  });
});

test("findHead() probes beyond a stale listing", async () => {
  const files = { 1: generation(1), 2: generation(2), 3: generation(3) };
  assert.deepEqual(await headOf(historyOf(files, [1])), { n: 3, next: 4 });
  assert.deepEqual(await headOf(historyOf(files, [])), { n: 3, next: 4 });
});

test("lookAt() goes on past one absent number, and believes in the end after two running", async () => {
  const oneAbsent = historyOf({ 1: torn, 3: torn, 5: torn }, [1]);
  assert.deepEqual(await lookAt(oneAbsent.store, key), { numbers: [5, 3, 1], next: 6 });
  assert.deepEqual(oneAbsent.reads, [2, 3, 4, 5, 6, 7]);
  const twoAbsent = historyOf({ 1: torn, 4: torn }, [1]);
  assert.deepEqual(await lookAt(twoAbsent.store, key), { numbers: [1], next: 2 });
  assert.deepEqual(twoAbsent.reads, [2, 3]);
});

test("lookAt() takes the listed numbers as they are, gaps and all, and reads only what follows them", async () => {
  const { store, reads } = historyOf({ 1: torn, 5: torn, 900: torn });
  assert.deepEqual(await lookAt(store, key), { numbers: [900, 5, 1], next: 901 });
  assert.deepEqual(reads, [901, 902]);
});

test("lookAt() asks for no number beyond the last that a name can hold", async () => {
  const { store, reads } = historyOf({}, [maxGenerationNumber - 1]);
  await lookAt(store, key);
  assert.deepEqual(reads, [maxGenerationNumber]);
});

test("findHead() skips burned numbers, and the next commit goes above them", async () => {
  const history = historyOf({ 1: generation(1), 2: generation(2), 3: torn, 4: torn });
  assert.deepEqual(await headOf(history), { n: 2, next: 5 });
  // 5 and 6 by the probe; what is torn is read twice.
  assert.deepEqual(history.reads, [5, 6, 4, 4, 3, 3, 2]);
});

test("findHead() finds burned numbers that a stale listing lacks", async () => {
  assert.deepEqual(await headOf(historyOf({ 1: generation(1), 2: torn }, [1])), { n: 1, next: 3 });
});

test("findHead() has no generation where all numbers are burned, and the next is above them all", async () => {
  assert.deepEqual(await headOf(historyOf({ 3: torn, 4: torn })), { n: undefined, next: 5 });
});

test("findHead() passes over what another store, another key or another number owns", async () => {
  const strangers = {
    2: generation(2, { store_id: "f".repeat(32) }),
    3: generation(3, { key: "llama-70b" }),
    4: generation(1),
  };
  assert.deepEqual(await headOf(historyOf({ 1: generation(1), ...strangers })), { n: 1, next: 5 });
});

test("an evicted cache's generation is a head like any other", async () => {
  const history = historyOf({ 1: generation(1), 2: generation(2, { layers: [] }) });
  assert.deepEqual(await headOf(history), { n: 2, next: 3 });
});

test("a read that is stale once and right the second time is valid", async () => {
  const stale = historyOf({ 1: [torn, generation(1)] });
  const read = await readGeneration(stale.store, key, 1);
  assert.equal(read.kind, "valid");
  assert.deepEqual(stale.reads, [1, 1]);
  for (const first of [new Uint8Array(0), torn, generation(2)]) {
    assert.deepEqual(await headOf(historyOf({ 1: torn, 2: [first, generation(2)] })), { n: 2, next: 3 });
  }
});

test("what is wrong twice is burned, and read no third time", async () => {
  const { store, reads } = historyOf({ 1: [new Uint8Array(0), generation(2), generation(1)] });
  assert.deepEqual(await readGeneration(store, key, 1), {
    kind: "burned",
    n: 1,
    problem: "it says it is number 2",
  });
  assert.deepEqual(reads, [1, 1]);
});

test("a file larger than a generation may be is burned, and does not block its key", async () => {
  const large = Buffer.concat([generation(2), Buffer.alloc(4 * 1024 * 1024)]);
  const history = historyOf({ 1: generation(1), 2: large });
  assert.deepEqual(await readGeneration(history.store, key, 2), {
    kind: "burned",
    n: 2,
    problem: "it has more than 4194304 bytes",
  });
  assert.deepEqual(await headOf(history), { n: 1, next: 3 });
});

test("of numbers that count for nothing a hundred are read", async () => {
  const history = (count: number) => {
    const files = Array.from({ length: count }, (_, at) => [at + 2, torn] as const);
    return historyOf({ 1: generation(1), ...Object.fromEntries(files) });
  };
  assert.deepEqual(await headOf(history(99)), { n: 1, next: 101 });
  const many = history(100);
  await assert.rejects(() => findHead(many.store, key), {
    code: "bad_manifest",
    message: /none of its newest 100 generations counts, down to number 2: remove those/,
  });
});

test("what is read right is read once", async () => {
  const { store, reads } = historyOf({ 1: generation(1) });
  await readGeneration(store, key, 1);
  assert.deepEqual(reads, [1]);
});

test("a generation that was pruned between look and read is gone, not burned", async () => {
  assert.deepEqual(await readGeneration(historyOf({}).store, key, 1), { kind: "gone", n: 1 });
  const between = historyOf({ 1: [torn, undefined] });
  assert.deepEqual(await readGeneration(between.store, key, 1), { kind: "gone", n: 1 });
});

test("findHead() goes below numbers that are gone behind a burned one, and the next commit goes above all", async () => {
  const history = historyOf({ 1: generation(1), 3: torn }, [1, 2, 3]);
  assert.deepEqual(await headOf(history), { n: 1, next: 4 });
});

test("where the newest number is listed and not opened the view of the share is stale: findHead() looks again", async () => {
  const late = historyOf({ 1: generation(1), 2: [undefined, undefined, generation(2)] }, [1, 2]);
  assert.deepEqual(await headOf(late), { n: 2, next: 3 });
  const never = historyOf({ 1: generation(1) }, [1, 2]);
  await assert.rejects(
    () => headOf(never),
    cacheError("store_io", /lists number 2 and does not open it; try again$/),
  );
});

test("a failing share is an error, and never a torn generation", async () => {
  const shareFails = () => Promise.reject(new CacheError("store_io", "EIO"));
  const { store } = historyOf({ 1: generation(1), 2: generation(2) });
  const failsAtHead = only<Store>("store", {
    id: store.id,
    generationNumbers: () => Promise.resolve([1, 2]),
    readGeneration: (_, n) => n === 2 ? shareFails() : store.readGeneration(key, n),
  });
  await assert.rejects(() => findHead(failsAtHead, key), cacheError("store_io"));
  const failsAtProbe = only<Store>("store", {
    id: store.id,
    generationNumbers: () => Promise.resolve([1]),
    readGeneration: (_, n) => n === 3 ? shareFails() : store.readGeneration(key, n),
  });
  await assert.rejects(() => lookAt(failsAtProbe, key), cacheError("store_io"));
  const failsToList = only<Store>("store", { id: store.id, generationNumbers: shareFails });
  await assert.rejects(() => findHead(failsToList, key), cacheError("store_io"));
});

test("a newer format is an error, although an older generation could be read", async () => {
  const history = historyOf({ 1: generation(1), 2: sealed('{"format":2}') });
  await assert.rejects(
    () => findHead(history.store, key),
    cacheError("store_unsupported", /generation 2 of/),
  );
});

/** What can have become of a number. */
const fate = fc.constantFrom("valid", "torn", "absent", "other", "stale once");

test("findHead() gives the newest valid generation of any history, and a number above all", async () => {
  const fates = fc.array(fate, { maxLength: 8 });
  await fc.assert(fc.asyncProperty(fates, fc.nat({ max: 8 }), async (numbers, known) => {
    const files: Record<number, Uint8Array | readonly Uint8Array[]> = {};
    for (const [at, what] of numbers.entries()) {
      const n = at + 1;
      if (what === "valid") files[n] = generation(n);
      if (what === "torn") files[n] = torn;
      if (what === "other") files[n] = generation(n + 1);
      if (what === "stale once") files[n] = [torn, generation(n)];
    }
    const taken = Object.keys(files).map(Number);
    // The listing knows the oldest; what it lacks is found as long as no two numbers running are absent.
    const listed = taken.slice(0, known);
    let last = listed.at(-1) ?? 0;
    for (const n of taken) if (n > last && n - last <= 2) last = n;
    const seen = taken.filter((n) => n <= last);
    const valid = seen.filter((n) => numbers[n - 1] === "valid" || numbers[n - 1] === "stale once");
    assert.deepEqual(await headOf(historyOf(files, listed)), { n: valid.at(-1), next: last + 1 });
  }));
});

test("refuseBurnedHistory() names the key, the newest burned number, its problem and what comes next", () => {
  const burned = [{ n: 4, problem: "its second line is not a seal" }, { n: 3, problem: "another" }];
  assert.throws(() => refuseBurnedHistory(parseKey("llama-8b", "key"), burned), {
    code: "bad_manifest",
    message:
      "Cannot load llama-8b as none of its generations is valid; generation 4: its second line is not a " +
      "seal. The next save starts it anew",
  });
});
