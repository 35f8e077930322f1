import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { deadStagingMs, deadUploadMs, pruneGraceMs } from "../lib/ages.ts";
import { type Config, readSettings } from "../lib/config.ts";

const pod = { homeDir: "/root", torchCacheDir: "/tmp/torchinductor_root", shareMounted: true };

function config(overrides: Partial<Config> = {}): Config {
  return { ...readSettings({ flags: {}, env: {}, pod }).config, ...overrides };
}

const seconds = fc.double({ min: 0.001, max: 1e6, noNaN: true });

const anyConfig = fc.record({
  incompleteTimeoutS: fc.integer({ min: 1, max: 7200 }),
  loadTimeoutS: seconds,
  saveTimeoutS: seconds,
  pruneGraceS: seconds,
}).map(config);

test("by default a staging directory is dead after 2 minutes, an upload after 15, and a name waits a day", () => {
  assert.deepEqual(
    [deadStagingMs(config()), deadUploadMs(config()), pruneGraceMs(config())],
    [120_000, 900_000, 86_400_000],
  );
});

test("nothing is dead before the operation that uses it has ended, and had time to clean up", () => {
  fc.assert(fc.property(anyConfig, (settings) => {
    assert.ok(deadStagingMs(settings) >= (settings.loadTimeoutS + 60) * 1000);
    assert.ok(deadUploadMs(settings) >= (settings.saveTimeoutS + 300) * 1000);
  }));
});

test("what nobody names waits for a save that may be about to name it, and for a load that began before", () => {
  fc.assert(fc.property(anyConfig, (settings) => {
    assert.ok(pruneGraceMs(settings) >= (settings.saveTimeoutS + settings.loadTimeoutS) * 1000);
  }));
});

test("the settings lengthen each age, and never shorten it below what is safe", () => {
  assert.equal(deadStagingMs(config({ incompleteTimeoutS: 7200 })), 7_200_000);
  assert.equal(deadUploadMs(config({ incompleteTimeoutS: 7200 })), 7_200_000);
  assert.equal(pruneGraceMs(config({ pruneGraceS: 100_000 })), 100_000_000);
  assert.equal(deadStagingMs(config({ incompleteTimeoutS: 1 })), 120_000);
  assert.equal(deadUploadMs(config({ incompleteTimeoutS: 1 })), 900_000);
  assert.equal(pruneGraceMs(config({ pruneGraceS: 1 })), 660_000);
  fc.assert(fc.property(anyConfig, (settings) => {
    assert.ok(deadStagingMs(settings) >= settings.incompleteTimeoutS * 1000);
    assert.ok(deadUploadMs(settings) >= settings.incompleteTimeoutS * 1000);
    assert.ok(pruneGraceMs(settings) >= settings.pruneGraceS * 1000);
  }));
});
