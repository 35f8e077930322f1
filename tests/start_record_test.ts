import assert from "node:assert/strict";
import { test } from "node:test";
import { recordJson, savedSeconds, type StartRecord } from "../lib/start_record.ts";
import { fullStart, newStart, nothingKnown } from "./starts.ts";

test("of a start that has just begun the JSON says when, and of all else that it is not known", () => {
  assert.deepEqual(recordJson(newStart), { ...nothingKnown, started_at: "2026-01-02T03:04:05.678Z" });
});

test("of a start that is over the JSON says everything, times to a hundredth of a second", () => {
  assert.deepEqual(recordJson(fullStart), {
    operation: "run",
    started_at: "2026-01-02T03:04:05.678Z",
    load: fullStart.load,
    save: fullStart.save,
    saves: 2,
    verdict: "PARTIAL",
    restored_files: 711,
    restored_bytes: 38_245_041,
    new_files: 3,
    new_bytes: 1_500,
    ready_s: 29.12,
    cold_start_s: 55.35,
    saved_s: 26.22,
    command_status: 0,
  });
});

test("what was won is what the cold start took more, and may be a loss", () => {
  assert.equal(savedSeconds({ ...fullStart, readyS: 10, coldStartS: 60 }), 50);
  assert.equal(savedSeconds({ ...fullStart, readyS: 61, coldStartS: 60 }), -1);
  assert.equal(savedSeconds({ ...fullStart, readyS: 60, coldStartS: 60 }), 0);
});

const cold = fullStart.proof && { ...fullStart.proof, verdict: "COLD" as const };

const untold: Readonly<Record<string, Partial<StartRecord>>> = {
  "before the server is ready": { readyS: null },
  "where nobody knows how long the cold start took": { coldStartS: null },
  "before it is known whether the cache helped": { proof: null },
  "of a start without a cache": { proof: cold },
};

for (const [when, change] of Object.entries(untold)) {
  test(`what was won cannot be told ${when}`, () => {
    assert.equal(savedSeconds({ ...fullStart, ...change }), null);
    assert.equal(recordJson({ ...fullStart, ...change })["saved_s"], null);
  });
}

test("the JSON is JSON: nothing in it is lost when it is written", () => {
  for (const record of [newStart, fullStart]) {
    assert.deepEqual(JSON.parse(JSON.stringify(recordJson(record))), recordJson(record));
  }
});
