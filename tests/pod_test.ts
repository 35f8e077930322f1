import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import {
  createRoots,
  removeEmptyDirectories,
  requireKnownFileSystem,
  type ResolvedSettings,
  resolveSettings,
} from "../lib/pod.ts";
import type { Host, System } from "../lib/system.ts";
import { fakeSystem, only } from "./fake_system.ts";
import { failWith, intercept, realFiles, withDirectory } from "./pods.ts";
import { cacheError } from "./store/examples.ts";

function system({ env = {}, host }: { env?: Record<string, string>; host: Partial<Host> }): System {
  return fakeSystem({
    fs: realFiles,
    env: { HOME: "/root", USER: "app", ...env },
    host: only<Host>("host", { homeDir: "/root", workingDir: "/root", ...host }),
  });
}

/** A store at /cache/model/compile_cache on a mount of this type. */
async function writeOn(type: string, env: Record<string, string> = {}): Promise<void> {
  const mountinfo = [
    "22 1 0:20 / / rw,relatime - overlay overlay rw",
    `97 22 0:55 / /cache/model rw,nosuid - ${type} source rw,user_id=0`,
  ].join("\n");
  const pod = system({
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
  const pod = system({ host: { kernelFile: () => undefined } });
  const settings: ResolvedSettings = await resolveSettings(pod, {});
  requireKnownFileSystem(pod, "/root/.cache/store", settings);
  const refusing = system({ host: { kernelFile: () => "1 0 0:1 / / rw - fuse.x x rw" } });
  requireKnownFileSystem(refusing, "/root/.cache/store", { ...settings, embeddedStore: true });
});

const onDisk = (files = realFiles) => fakeSystem({ fs: files });

test("directories that are made for an operation are gone again where it put nothing there", () =>
  withDirectory(async (home) => {
    fs.mkdirSync(path.join(home, "there"));
    const roots = ["there", "a/b/c", "a/d", "e"].map((name) => ({ name: "x", dir: path.join(home, name) }));
    const made = await createRoots(onDisk(), roots);
    assert.deepEqual(made.map((dir) => path.relative(home, dir)), ["a", "a/b", "a/b/c", "a/d", "e"]);
    assert.equal(fs.statSync(path.join(home, "a/b/c")).mode & 0o7777, 0o755);
    await removeEmptyDirectories(onDisk(), made);
    assert.deepEqual(fs.readdirSync(home), ["there"]);
  }));

test("a directory in which something lies by now stays, with those above it, and so does one that was there", () =>
  withDirectory(async (home) => {
    fs.mkdirSync(path.join(home, "there"));
    const roots = ["there", "a/b/c", "a/d"].map((name) => ({ name: "x", dir: path.join(home, name) }));
    const made = await createRoots(onDisk(), roots);
    fs.writeFileSync(path.join(home, "a/b/file"), "of somebody else");
    await removeEmptyDirectories(onDisk(), made);
    assert.deepEqual(fs.readdirSync(home, { recursive: true, encoding: "utf8" }).sort(), [
      "a",
      "a/b",
      "a/b/file",
      "there",
    ]);
    assert.deepEqual(await createRoots(onDisk(), [{ name: "x", dir: path.join(home, "there") }]), []);
  }));

test("a directory that cannot be removed is no harm", () =>
  withDirectory(async (home) => {
    const made = await createRoots(onDisk(), [{ name: "x", dir: path.join(home, "a/b") }]);
    const failing = intercept(realFiles, ({ name }) => name === "rmdir" && failWith("EROFS")());
    await removeEmptyDirectories(onDisk(failing), made);
    fs.rmSync(path.join(home, "a"), { recursive: true });
    await removeEmptyDirectories(onDisk(), made);
  }));
