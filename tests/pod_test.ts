import assert from "node:assert/strict";
import { test } from "node:test";
import { requireKnownFileSystem, type ResolvedSettings, resolveSettings } from "../lib/pod.ts";
import type { Host, System } from "../lib/system.ts";
import { fakeSystem, only } from "./fake_system.ts";
import { realFiles } from "./pods.ts";
import { cacheError } from "./store/examples.ts";

function system(
  home: string,
  { env = {}, host }: { env?: Record<string, string>; host: Partial<Host> },
): System {
  return fakeSystem({
    fs: realFiles,
    env: { HOME: home, USER: "app", ...env },
    host: only<Host>("host", { homeDir: home, workingDir: home, ...host }),
  });
}

/** A store at /cache/model/compile_cache on a mount of this type. */
async function writeOn(type: string, env: Record<string, string> = {}): Promise<void> {
  const mountinfo = [
    "22 1 0:20 / / rw,relatime - overlay overlay rw",
    `97 22 0:55 / /cache/model rw,nosuid - ${type} source rw,user_id=0`,
  ].join("\n");
  const pod = system("/root", {
    env: { B10FS_CACHE_DIR: "/cache/model/compile_cache", ...env },
    host: { kernelFile: (file) => file === "/proc/self/mountinfo" ? mountinfo : undefined },
  });
  requireKnownFileSystem(pod, "/cache/model/compile_cache", await resolveSettings(pod, {}));
}

test("an unknown FUSE type is refused before anything is written, and says how to vouch for it", async () => {
  for (const type of ["ext4", "nfs4", "tmpfs", "overlay", "virtiofs", "fuse.glusterfs", "fuse.juicefs"]) {
    await writeOn(type);
  }
  for (const type of ["fuse.gcsfuse", "fuse.s3fs", "fuse", "fuseblk"]) {
    await assert.rejects(
      () => writeOn(type),
      cacheError(
        "store_unsupported",
        new RegExp(`of type "${type}".*B10_CACHE_VOUCHED_FILE_SYSTEMS=${type}$`),
      ),
    );
    await writeOn(type, { B10_CACHE_VOUCHED_FILE_SYSTEMS: `fuse.other:${type}` });
  }
});

test("a pod's own embedded store, and a machine without mountinfo, are never refused", async () => {
  const pod = system("/root", { host: { kernelFile: () => undefined } });
  const settings: ResolvedSettings = await resolveSettings(pod, {});
  requireKnownFileSystem(pod, "/root/.cache/store", settings);
  const refusing = system("/root", { host: { kernelFile: () => "1 0 0:1 / / rw - fuse.x x rw" } });
  requireKnownFileSystem(refusing, "/root/.cache/store", { ...settings, embeddedStore: true });
});
