import assert from "node:assert/strict";
import { test } from "node:test";
import { type Death, isSuspectDeath, suspectContent } from "../../lib/commands/circuit_breaker.ts";
import type { Report } from "../../lib/status.ts";
import { newStart } from "../starts.ts";

const content = "c0".repeat(32);
const load: Report = { operation: "load", status: "SUCCESS", content, elapsed_ms: 84, message: "well" };

const death: Death = {
  status: 1,
  record: { ...newStart, load },
  wasToldToEnd: false,
  ranForMs: 5_000,
  soonMs: 1_800_000,
};

test("a death by itself, soon after a restore and before it was ready, accuses", () => {
  assert.ok(isSuspectDeath(death));
  assert.ok(isSuspectDeath({ ...death, record: { ...newStart, load: { ...load, status: "SKIPPED" } } }));
});

test("by its status: not one that ended well, was given a wrong command line, or never started", () => {
  const innocent = new Set([0, 2, 126, 127]);
  for (let status = 0; status < 256; status++) {
    assert.equal(isSuspectDeath({ ...death, status }), !innocent.has(status), String(status));
  }
});

const excuses: Readonly<Record<string, Partial<Death>>> = {
  "it was told to end": { wasToldToEnd: true },
  "it had been ready": { record: { ...newStart, load, readyS: 0 } },
  "it took as long as a server may": { ranForMs: 1_800_000 },
  "there was no load": { record: newStart },
  "the load found nothing": { record: { ...newStart, load: { ...load, status: "DOES_NOT_EXIST" } } },
  "the load failed": { record: { ...newStart, load: { ...load, status: "ERROR" } } },
  "what was restored has no content ID": { record: { ...newStart, load: { ...load, content: undefined } } },
};

for (const [why, change] of Object.entries(excuses)) {
  test(`it does not where ${why}`, () => {
    assert.equal(isSuspectDeath({ ...death, ...change }), false);
  });
}

test("just before its time is up is soon enough", () => {
  assert.ok(isSuspectDeath({ ...death, ranForMs: 1_799_999 }));
});

test("what is suspect is what was restored, and no number or text of another report", () => {
  assert.equal(suspectContent({ ...newStart, load }), content);
  assert.equal(suspectContent(newStart), undefined);
  const suspect = { ...load, status: "DOES_NOT_EXIST" as const, content: undefined, suspect: content };
  assert.equal(suspectContent({ ...newStart, load: suspect }), undefined);
  for (const wrong of [4, null, true, [content]]) {
    assert.equal(
      suspectContent({ ...newStart, load: { ...load, content: wrong } as unknown as Report }),
      undefined,
    );
  }
});
