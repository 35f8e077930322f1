import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type CacheState,
  type Cause,
  compareCaches,
  explain,
  type Findings,
  type StoredCache,
  type StoredEnvironment,
  type ThisPod,
} from "../lib/explain.ts";
import { computeKey, parseKey } from "../lib/key.ts";
import type { FactorsDirectory, FactorsReport } from "../lib/vllm_factors.ts";
import { environment } from "./pods.ts";

const pod: ThisPod = {
  environment,
  namespace: "default",
  key: computeKey("default", environment),
  pinned: false,
};

interface Saved {
  /** What was other than on this pod. */
  readonly facts?: StoredEnvironment;
  readonly namespace?: string;
  readonly key?: string;
  readonly createdAt?: string;
  readonly state?: CacheState;
  readonly problem?: string;
}

/** A cache as another pod saved it. */
function saved(
  { facts = {}, namespace = "default", key, createdAt = "2026-01-01T00:00:00.000Z", state, problem }: Saved =
    {},
): StoredCache {
  const theirs = { ...environment, ...facts };
  return {
    key: key === undefined ? computeKey(namespace, theirs) : parseKey(key, "key"),
    state: state ?? "loadable",
    problem: problem ?? null,
    environment: theirs,
    generation: 3,
    createdAt,
    roots: ["inductor", "vllm"],
  };
}

/** A cache whose manifest cannot be read. */
function unknown(key: string, problem: string): StoredCache {
  return {
    key: parseKey(key, "key"),
    state: "damaged",
    problem,
    environment: null,
    generation: null,
    createdAt: null,
    roots: [],
  };
}

function findings(caches: readonly StoredCache[] | undefined, others: Partial<Findings> = {}): Findings {
  return {
    pod,
    storeDir: "/cache/model/compile_cache",
    embedded: false,
    caches: caches && compareCaches(others.pod ?? pod, caches),
    vllm: [],
    ...others,
  };
}

describe("compareCaches()", () => {
  test("puts the cache of fewest differences first, the newest first among equals", () => {
    const three = saved({ facts: { torch: "2.13.0", cuda: "13.1", python: "3.11" } });
    const old = saved({ facts: { torch: "2.12.0" } });
    const young = saved({ facts: { torch: "2.13.0" }, createdAt: "2026-02-01T00:00:00.000Z" });
    const lost = unknown("lost", "it has no valid generation");
    const compared = compareCaches(pod, [lost, three, old, young]);
    assert.deepEqual(compared.map(({ key }) => key), [young.key, old.key, three.key, lost.key]);
    assert.equal(compared[3]?.differs, null);
  });

  test("puts this pod's own key before all others, readable or not", () => {
    const own = { ...unknown("own", "it has no valid generation"), key: pod.key };
    const [first] = compareCaches(pod, [saved({ namespace: "chat" }), own]);
    assert.equal(first?.key, pod.key);
    assert.deepEqual(first?.differs, []);
  });

  test("names the facts that differ in the order in which status shows them", () => {
    const facts = { cpu_isa: "avx512", devices: ["NVIDIA L4"], torch: "2.13.0", python: "3.11" };
    const [compared] = compareCaches(pod, [saved({ facts })]);
    assert.deepEqual(compared?.differs, [
      { fact: "python", here: "3.12", there: "3.11" },
      { fact: "torch", here: "2.11.0", there: "2.13.0" },
      { fact: "devices", here: ["NVIDIA H100 80GB HBM3"], there: ["NVIDIA L4"] },
      { fact: "cpu_isa", here: null, there: "avx512" },
    ]);
  });

  test("names facts that only another version knows, and those that it does not know", () => {
    const { torch: _, ...withoutTorch } = environment;
    const theirs = { ...withoutTorch, zzz: "1", libc: "musl" };
    const [compared] = compareCaches(pod, [
      { ...saved(), environment: theirs, key: computeKey("default", theirs) },
    ]);
    assert.deepEqual(compared?.differs, [
      { fact: "torch", here: "2.11.0", there: undefined },
      { fact: "libc", here: undefined, there: "musl" },
      { fact: "zzz", here: undefined, there: "1" },
    ]);
  });

  test("tells a namespace where the key allows it", () => {
    const chat = { ...pod, namespace: "chat", key: computeKey("chat", environment) };
    const differsOf = (here: ThisPod, cache: StoredCache) => compareCaches(here, [cache])[0]?.differs;
    assert.deepEqual(differsOf(chat, saved()), [{ fact: "namespace", here: "chat", there: "default" }]);
    assert.deepEqual(differsOf(pod, saved({ namespace: "chat" })), [
      { fact: "namespace", here: "default", there: "another, or a pinned key" },
    ]);
    // The namespace is the same: only the fact counts.
    assert.deepEqual(differsOf(chat, saved({ namespace: "chat", facts: { torch: "2.13.0" } })), [
      { fact: "torch", here: "2.11.0", there: "2.13.0" },
    ]);
  });

  test("says that a pinned key is another, and compares the environment of its own cache", () => {
    const pinned = { ...pod, key: parseKey("mine", "key"), pinned: true };
    const other = saved();
    const own = saved({ key: "mine", facts: { torch: "2.12.0", cuda: "12.9" } });
    assert.deepEqual(compareCaches(pinned, [other, own]).map(({ differs }) => differs), [
      [
        { fact: "torch", here: "2.11.0", there: "2.12.0" },
        { fact: "cuda", here: "13.0", there: "12.9" },
      ],
      [{ fact: "key", here: "mine", there: other.key }],
    ]);
  });
});

describe("explain()", () => {
  const own = { key: pod.key };
  const outcomes: readonly {
    readonly what: string;
    readonly caches: readonly StoredCache[] | undefined;
    readonly cause: Cause;
    readonly message: RegExp;
  }[] = [
    { what: "no store", caches: undefined, cause: "no_store", message: /^no store was made in "\/cache/ },
    { what: "an empty store", caches: [], cause: "empty_store", message: /has no cache at all$/ },
    {
      what: "its own cache",
      caches: [saved({ facts: { torch: "2.13.0" } }), saved()],
      cause: "loadable",
      message:
        /^the cache of exactly this key, "[0-9a-f]{64}", is there, in generation 3: a load restores it$/,
    },
    {
      what: "its own cache, evicted",
      caches: [saved({ ...own, state: "evicted" })],
      cause: "evicted",
      message: /was evicted by a prune, in generation 3$/,
    },
    {
      what: "its own cache, damaged",
      caches: [saved({ ...own, state: "damaged", problem: "its layer x is not there" })],
      cause: "damaged",
      message: /is damaged: its layer x is not there$/,
    },
    {
      what: "its own cache, not saved yet",
      caches: [saved({ ...own, state: "empty", problem: "a first save is under way" })],
      cause: "empty",
      message: /nothing in it: a first save is under way$/,
    },
    {
      what: "its own cache, unreadable",
      caches: [saved({ ...own, state: "unreadable", problem: "EIO" })],
      cause: "unreadable",
      message: /cannot be read: EIO$/,
    },
    {
      what: "caches of other environments",
      caches: [
        saved({ facts: { torch: "2.13.0" } }),
        saved({ facts: { torch: "2.13.0", devices: ["NVIDIA L4"] } }),
      ],
      cause: "facts_differ",
      message: /: the nearest of 2 caches in the store differs in torch: "2\.11\.0" here, "2\.13\.0" there$/,
    },
    {
      what: "the same environment under another key",
      caches: [saved({ namespace: "chat" })],
      cause: "key_differs",
      message: /under another key; namespace: "default" here, another, or a pinned key there$/,
    },
    {
      what: "nothing that can be read",
      caches: [unknown("lost", "it has no valid generation")],
      cause: "nothing_known",
      message: /^the one cache in the store does not say what saved it: it has no valid generation$/,
    },
  ];
  for (const { what, caches, cause, message } of outcomes) {
    test(`names the cause and says what to do: ${what}`, () => {
      const explanation = explain(findings(caches));
      assert.equal(explanation.cause, cause);
      assert.match(explanation.message, message);
      assert.notEqual(explanation.advice.length, 0);
    });
  }

  test("says that a pinned key holds what another kind of pod saved", () => {
    const pinned = { ...pod, key: parseKey("mine", "key"), pinned: true };
    const { cause, message, advice } = explain(
      findings([saved({ key: "mine", facts: { torch: "2.13.0" } })], { pod: pinned }),
    );
    assert.equal(cause, "loadable");
    assert.match(message, /but the pod that saved it differs in torch: "2\.11\.0" here, "2\.13\.0" there$/);
    assert.match(advice[0] ?? "", /B10_CACHE_KEY/);
  });

  test("says first that the store is this pod's alone, where it is", () => {
    assert.match(
      explain(findings(undefined, { embedded: true })).advice[0] ?? "",
      /no shared volume is mounted/,
    );
    assert.doesNotMatch(explain(findings(undefined)).advice.join(), /no shared volume/);
  });

  test("names three facts and counts the rest, so that the sentence can be read", () => {
    const facts = { torch: "1", cuda: "2", python: "3", triton: "4", vllm: "5" };
    const { message } = explain(findings([saved({ facts })]));
    assert.match(message, /python: .*; torch: .*; cuda: .*; and 2 more$/);
  });

  test("shows nothing of a hostile manifest as it is", () => {
    const facts = { torch: `\u001b[2J\n\u202e${"x".repeat(100_000)}`, "\u001b]0;owned\n": "y" };
    const { message } = explain(findings([saved({ facts })]));
    assert.doesNotMatch(message, /[\p{Cc}\p{Cf}]/u);
    assert.match(message, /\\u001b\[2J/);
    assert.ok(message.length < 1_000, `${message.length} characters`);
  });
});

describe("explain() of a cache that vLLM did not use", () => {
  const directory = (name: string, restored: boolean | null): FactorsDirectory => ({
    directory: name,
    madeAt: "2026-01-01T00:00:00.000Z",
    restored,
    problem: null,
  });
  const difference = { path: "env.VLLM_ATTENTION_BACKEND", here: '"FLASH"', there: "null" };
  const report = (newest: boolean | null, other: boolean | null): FactorsReport => ({
    place: "rank_0_0/backbone",
    newest: directory("aaaaaaaaaa", newest),
    others: [
      {
        ...directory("bbbbbbbbbb", other),
        differences: [difference, { ...difference, path: "config_hash" }],
        more: 3,
      },
      { ...directory("cccccccccc", other), differences: [difference], more: 0 },
    ],
    more: 0,
  });

  test("comes before what the store says, and names the variable of the nearest directory", () => {
    const { cause, message } = explain(findings([saved()], { vllm: [report(false, true)] }));
    assert.equal(cause, "vllm_factors_differ");
    assert.equal(
      message,
      'vLLM did not use "cccccccccc", which was restored, and made "aaaaaaaaaa" for "rank_0_0/backbone": ' +
        '1 factor of its key differs, env.VLLM_ATTENTION_BACKEND: "FLASH" here, null there',
    );
  });

  test("is not claimed where the newest was restored, where the others were made here, or without a record", () => {
    for (const vllm of [report(true, true), report(false, false), report(null, null)]) {
      assert.equal(explain(findings([saved()], { vllm: [vllm] })).cause, "loadable");
    }
  });
});
