import assert from "node:assert/strict";
import { test } from "node:test";
import { prometheusText } from "../lib/metrics.ts";
import type { StartRecord } from "../lib/start_record.ts";
import { readPrometheus } from "./prometheus.ts";
import { fullStart, newStart } from "./starts.ts";

const prefix = "b10_compile_cache_";

/** The samples by metric, without what all names have in common. */
function samplesOf(record: StartRecord): Record<string, Readonly<Record<string, number>>> {
  const metrics = [...readPrometheus(prometheusText(record))];
  assert.ok(metrics.every(([name, { type }]) => name.startsWith(prefix) && type === "gauge"));
  return Object.fromEntries(metrics.map(([name, { samples }]) => [name.slice(prefix.length), samples]));
}

test("of a start that has just begun there is no sample but what is known", () => {
  assert.deepEqual(samplesOf(newStart), {
    start_time_seconds: { "": 1_767_323_045.678 },
    saves: { "": 0 },
  });
});

test("of a start that is over there is everything", () => {
  assert.deepEqual(samplesOf(fullStart), {
    start_time_seconds: { "": 1_767_323_045.678 },
    load_status: {
      '{status="SUCCESS"}': 1,
      '{status="SKIPPED"}': 0,
      '{status="DOES_NOT_EXIST"}': 0,
      '{status="ERROR"}': 0,
    },
    load_duration_seconds: { "": 0.084 },
    load_files: { "": 711 },
    load_bytes: { "": 38_245_041 },
    ready_seconds: { "": 29.123 },
    cold_start_seconds: { "": 55.345 },
    saved_seconds: { "": 55.345 - 29.123 },
    verdict: {
      '{verdict="HIT"}': 0,
      '{verdict="PARTIAL"}': 1,
      '{verdict="INERT"}': 0,
      '{verdict="COLD"}': 0,
    },
    restored_files: { "": 711 },
    restored_bytes: { "": 38_245_041 },
    new_files: { "": 3 },
    new_bytes: { "": 1_500 },
    saves: { "": 2 },
    save_status: {
      '{status="SUCCESS"}': 1,
      '{status="SKIPPED"}': 0,
      '{status="DOES_NOT_EXIST"}': 0,
      '{status="ERROR"}': 0,
    },
    generation: { "": 5 },
  });
});

test("one and only one of a state's samples is 1, whichever it is", () => {
  const proof = fullStart.proof ?? assert.fail();
  const load = fullStart.load ?? assert.fail();
  for (const verdict of ["HIT", "PARTIAL", "INERT", "COLD"] as const) {
    const samples = samplesOf({ ...fullStart, proof: { ...proof, verdict } })["verdict"] ?? {};
    assert.deepEqual(Object.entries(samples).filter(([, value]) => value === 1), [[
      `{verdict="${verdict}"}`,
      1,
    ]]);
  }
  for (const status of ["SUCCESS", "SKIPPED", "DOES_NOT_EXIST", "ERROR"] as const) {
    const samples = samplesOf({ ...fullStart, load: { ...load, status } })["load_status"] ?? {};
    assert.deepEqual(Object.entries(samples).filter(([, value]) => value === 1), [[
      `{status="${status}"}`,
      1,
    ]]);
  }
});

test("the generation is the save's, and without one the load's", () => {
  assert.deepEqual(samplesOf({ ...fullStart, save: null })["generation"], { "": 4 });
  assert.deepEqual(samplesOf({ ...fullStart, load: null })["generation"], { "": 5 });
  assert.equal(samplesOf({ ...fullStart, load: null, save: null })["generation"], undefined);
});

test("a start that took longer than the cold one has won less than nothing", () => {
  assert.deepEqual(samplesOf({ ...fullStart, readyS: 61.5, coldStartS: 60 })["saved_seconds"], { "": -1.5 });
});

test("what is not known, in any combination, has no sample, and never one that is no number", () => {
  const unknowns: readonly Partial<StartRecord>[] = [
    { load: null },
    { save: null },
    { readyS: null },
    { coldStartS: null },
    { proof: null },
  ];
  for (let chosen = 0; chosen < 1 << unknowns.length; chosen++) {
    const record = unknowns.reduce<StartRecord>(
      (all, unknown, at) => (chosen & (1 << at) ? { ...all, ...unknown } : all),
      fullStart,
    );
    for (const samples of Object.values(samplesOf(record))) {
      for (const value of Object.values(samples)) assert.ok(Number.isFinite(value));
    }
    assert.ok(!/NaN|null|undefined/.test(prometheusText(record)));
  }
});

test("numbers of any size are written as the format has them", () => {
  const proof = fullStart.proof ?? assert.fail();
  for (const value of [0, 1e-7, 0.1 + 0.2, 2 ** 40, Number.MAX_SAFE_INTEGER, 1e21]) {
    const samples = samplesOf({ ...fullStart, readyS: value, proof: { ...proof, newBytes: value } });
    assert.deepEqual([samples["ready_seconds"], samples["new_bytes"]], [{ "": value }, { "": value }]);
  }
});
