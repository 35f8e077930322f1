import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "../lib/config.ts";
import { neededBytes, requireSpace } from "../lib/local_space.ts";
import type { FileSystem } from "../lib/system.ts";
import { only } from "./fake_system.ts";

const pod = { homeDir: "/root", torchCacheDir: "/tmp/torchinductor_root", shareMounted: false };

test("neededBytes() is the largest of what is restored and what the user asked for", () => {
  const needed = (env: Record<string, string>) =>
    neededBytes(readSettings({ flags: {}, env, pod }).config, { raw: 5_000_000, stored: 1_000_000 });
  assert.equal(needed({}), 5_000_000);
  assert.equal(needed({ MIN_LOCAL_SPACE_MB: "4" }), 5_000_000);
  assert.equal(needed({ MIN_LOCAL_SPACE_MB: "6" }), 6 * 1024 * 1024);
  assert.equal(needed({ LOCAL_SPACE_ARCHIVE_MULTIPLIER: "2.5" }), 5_000_000);
  assert.equal(needed({ LOCAL_SPACE_ARCHIVE_MULTIPLIER: "7.5" }), 7_500_000);
});

test("requireSpace() refuses what does not fit, with both numbers", async () => {
  const files = only<FileSystem>("fs", { freeBytes: (dir) => Promise.resolve(dir === "/tmp/x" ? 1000 : 0) });
  await requireSpace(files, "/tmp/x", 0);
  await requireSpace(files, "/tmp/x", 1000);
  await assert.rejects(requireSpace(files, "/tmp/x", 1001), {
    name: "CacheError",
    code: "no_space",
    message: 'Cannot restore into "/tmp/x" as 1001 bytes are needed there and 1000 are free',
  });
  const failing = only<FileSystem>("fs", {
    freeBytes: () => Promise.reject(Object.assign(new Error("failed"), { code: "EIO" })),
  });
  await assert.rejects(requireSpace(failing, "/tmp/x", 0), { name: "CacheError", code: "local_io" });
});
