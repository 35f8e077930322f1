import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignPolicies, readSettings } from "../../lib/config.ts";
import type { Environment } from "../../lib/environment.ts";
import { whyForeignIsOff } from "../../lib/foreign/policy.ts";

const pod = { homeDir: "/root", torchCacheDir: "/tmp/torchinductor_root", shareMounted: false };

function isOn(
  setting: string | undefined,
  accelerator: Environment["accelerator"],
  others: Readonly<Record<string, string>> = {},
): boolean {
  const env = { ...others, ...(setting === undefined ? {} : { B10_CACHE_FOREIGN: setting }) };
  const { config } = readSettings({ flags: {}, env, pod });
  const environment = { accelerator } as Environment;
  return whyForeignIsOff(config, environment) === undefined;
}

test("by itself a GPU pod restores b10-transfer's archives, and a CPU pod does not", () => {
  for (const setting of [undefined, "", "auto"]) {
    assert.equal(isOn(setting, "cuda"), true);
    assert.equal(isOn(setting, "rocm"), true);
    assert.equal(isOn(setting, "cpu"), false);
  }
});

test("B10_CACHE_FOREIGN on and off hold for every pod; anything else is refused", () => {
  for (const accelerator of ["cuda", "rocm", "cpu"] as const) {
    assert.equal(isOn("on", accelerator), true);
    assert.equal(isOn("OFF", accelerator), false);
  }
  assert.deepEqual(foreignPolicies, ["auto", "on", "off"]);
  assert.throws(() => isOn("yes", "cuda"), {
    code: "bad_setting",
    message: 'Cannot use B10_CACHE_FOREIGN "yes" as it must be one of auto, on, off',
  });
});

test("where signatures are demanded no pod restores them, as they have none", () => {
  const demand = { B10_CACHE_TRUSTED_KEYS_FILE: "/etc/trusted" };
  for (const accelerator of ["cuda", "rocm", "cpu"] as const) {
    assert.equal(isOn(undefined, accelerator, demand), false);
    assert.equal(isOn("off", accelerator, demand), false);
  }
  // Signing alone demands nothing.
  assert.equal(isOn(undefined, "cuda", { B10_CACHE_SIGNING_KEY_FILE: "/etc/key" }), true);
});
