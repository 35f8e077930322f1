import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Proof, proofText, prove, type Times, type Verdict } from "../lib/proof.ts";
import { type FileFacts, snapshotOf } from "./snapshots.ts";

type Files = Readonly<Record<string, FileFacts>>;

const ten: Files = Object.fromEntries(
  Array.from({ length: 10 }, (_, at) => [`inductor/aa/${at}.so`, { size: 1_000 }]),
);

/** That many new files. */
function made(count: number, size = 1_000): Files {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`triton/new/${at}.cubin`, { size }]));
}

function proofOf(before: Files, after: Files, isRestored = true): Proof {
  return prove({ isRestored, before: snapshotOf(before), after: snapshotOf(after) });
}

test("nothing was made: HIT, whatever lies there", () => {
  assert.deepEqual(proofOf(ten, ten), {
    verdict: "HIT",
    restoredFiles: 10,
    restoredBytes: 10_000,
    newFiles: 0,
    newBytes: 0,
  });
});

test("some was made: PARTIAL, until it is as many files as half of what was restored: INERT", () => {
  const verdicts = [1, 4, 5, 10, 100].map((count) => proofOf(ten, { ...ten, ...made(count) }).verdict);
  assert.deepEqual(verdicts, ["PARTIAL", "PARTIAL", "INERT", "INERT", "INERT"]);
});

test("it is the number of files that counts, not their bytes", () => {
  assert.equal(proofOf(ten, { ...ten, ...made(1, 10_000_000) }).verdict, "PARTIAL");
  assert.equal(proofOf(ten, { ...ten, ...made(10, 1) }).verdict, "INERT");
});

test("a restored file that was rewritten was compiled anew", () => {
  const after = { ...ten, "inductor/aa/0.so": { size: 700, mtimeNs: 5n } };
  const proof = proofOf(ten, after);
  assert.deepEqual([proof.verdict, proof.newFiles, proof.newBytes], ["PARTIAL", 1, 700]);
});

test("a file that is gone was not compiled", () => {
  assert.equal(proofOf({ ...ten, "vllm/gone": {} }, ten).verdict, "HIT");
});

test("nothing was restored: COLD, whether something was compiled or not", () => {
  assert.equal(proofOf({}, made(3), false).verdict, "COLD");
  assert.equal(proofOf({}, {}, false).verdict, "COLD");
  assert.equal(proofOf(ten, { ...ten, ...made(3) }, false).verdict, "COLD");
});

const notes = [
  "vllm/torch_compile_cache/0123/rank_0_0/backbone/cache_key_factors.json",
  "vllm/torch_compile_cache/0123/rank_0_0/backbone/computation_graph.py",
  "vllm/modelinfos/vllm-model_executor-models-qwen3.json",
];

test("what vLLM writes at each start beside what it compiles proves nothing", () => {
  const rewritten = Object.fromEntries(notes.map((path) => [path, { mtimeNs: 9n }]));
  const first = Object.fromEntries(notes.map((path) => [path, {}]));
  assert.deepEqual(proofOf({ ...ten, ...first }, { ...ten, ...rewritten }), proofOf(ten, ten));
  assert.equal(proofOf(ten, { ...ten, ...rewritten }).verdict, "HIT");
});

test("a name that only looks like one of those counts", () => {
  for (
    const path of [
      "vllm/cache_key_factors.json.so",
      "vllm/my_cache_key_factors.json",
      "vllm/computation_graph.pyc",
      "vllm/modelinfos/below/graph.json",
      "vllm/modelinfos/model.so",
    ]
  ) assert.equal(proofOf(ten, { ...ten, [path]: {} }).newFiles, 1, path);
});

test("for any two snapshots: HIT exactly where nothing was made, and the counts are of what was", () => {
  const files = fc.dictionary(
    fc.stringMatching(/^[a-c]$/).map((name) => `vllm/${name}`),
    fc.record({ size: fc.nat(5), mtimeNs: fc.bigInt({ min: 0n, max: 1n }) }, { noNullPrototype: true }),
  );
  fc.assert(fc.property(files, files, (before, after) => {
    const proof = proofOf(before, after);
    const expected = Object.entries(after).filter(([path, { size, mtimeNs }]) => {
      const old = before[path];
      return old?.size !== size || old.mtimeNs !== mtimeNs;
    });
    assert.equal(proof.newFiles, expected.length);
    assert.equal(proof.newBytes, expected.reduce((sum, [, { size }]) => sum + size, 0));
    assert.equal(proof.restoredFiles, Object.keys(before).length);
    assert.equal(proof.verdict === "HIT", expected.length === 0);
  }));
});

function textOf(verdict: Verdict, times: Partial<Times>, proof: Partial<Proof> = {}): string {
  const all = { verdict, restoredFiles: 10, restoredBytes: 10_000, newFiles: 0, newBytes: 0, ...proof };
  return proofText(all, { readyS: 29.1, coldStartS: undefined, ...times });
}

test("the line of a proof says how long it took, what was won, and what was compiled", () => {
  const one = { newFiles: 1, newBytes: 1_500 };
  const two = { newFiles: 2, newBytes: 2_000_000 };
  assert.deepEqual([
    textOf("HIT", { coldStartS: 55.3 }),
    textOf("HIT", {}),
    textOf("HIT", { coldStartS: 29 }),
    textOf("PARTIAL", { readyS: 0.5, coldStartS: 600 }, one),
    textOf("INERT", {}, two),
    textOf("COLD", {}, two),
    textOf("COLD", {}),
  ], [
    "cache HIT: ready after 29.10 s, 26.20 s sooner than the cold start's 55.30 s; nothing was compiled anew",
    "cache HIT: ready after 29.10 s; nothing was compiled anew",
    "cache HIT: ready after 29.10 s, 100 ms later than the cold start's 29.00 s; nothing was compiled anew",
    "cache PARTIAL: ready after 500 ms, 10 min 0 s sooner than the cold start's 10 min 0 s; 1 file, 1.50 kB were compiled anew",
    "cache INERT: ready after 29.10 s; 2 files, 2.00 MB were compiled although 10.0 kB had been restored: see explain",
    "cache COLD: ready after 29.10 s; 2 files, 2.00 MB were compiled",
    "cache COLD: ready after 29.10 s; nothing was compiled anew",
  ]);
});
