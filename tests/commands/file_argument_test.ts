import assert from "node:assert/strict";
import { test } from "node:test";
import { confineFile, fileFormat, isDirectory } from "../../lib/commands/file_argument.ts";
import { readSettings } from "../../lib/config.ts";
import type { FileSystem, Host } from "../../lib/system.ts";
import { fakeSystem, only } from "../fake_system.ts";

test("fileFormat() goes by the option, else by how the name ends", () => {
  assert.equal(fileFormat("x.tar.zst", undefined), "native");
  assert.equal(fileFormat("/tmp/cache_0.latest.tar.gz", undefined), "b10-transfer");
  assert.equal(fileFormat("x.tar.gz", "native"), "native");
  assert.equal(fileFormat("x", "b10-transfer"), "b10-transfer");
});

test("fileFormat() is wrong usage where neither tells", () => {
  assert.throws(() => fileFormat("/tmp/\u001b[2Jx.zip", undefined), {
    name: "UsageError",
    message:
      'Cannot tell the format of "/tmp/\\u001b[2Jx.zip": name it ….tar.zst, or ….tar.gz for b10-transfer\'s, ' +
      "or give --format",
  });
  assert.throws(() => fileFormat("x.tar.zst", "zip"), {
    name: "UsageError",
    message: 'Cannot use --format "zip" as it must be one of native, b10-transfer',
  });
  assert.throws(() => fileFormat("x.tar.zst", "toString"), { name: "UsageError" });
});

const kinds: Readonly<Record<string, "directory" | "file">> = {
  "/": "directory",
  "/tmp": "directory",
  "/app": "directory",
  "/tmp/dir": "directory",
  "/tmp/file": "file",
};

function system(workingDir: string) {
  const gone = () => Promise.reject(Object.assign(new Error("gone"), { code: "ENOENT" }));
  return fakeSystem({
    host: only<Host>("host", { workingDir }),
    fs: only<FileSystem>("fs", {
      stat: (path) => {
        const kind = kinds[path];
        return kind ? Promise.resolve({ kind } as Awaited<ReturnType<FileSystem["stat"]>>) : gone();
      },
      lstat: gone,
      realPath: (path) => path in kinds ? Promise.resolve(path) : gone(),
    }),
  });
}

test("isDirectory() is what ends with a slash, and what is one", async () => {
  assert.equal(await isDirectory(system("/"), "anywhere/"), true);
  assert.equal(await isDirectory(system("/tmp"), "dir"), true);
  assert.equal(await isDirectory(system("/tmp"), "file"), false);
  assert.equal(await isDirectory(system("/tmp"), "absent"), false);
});

test("confineFile() takes a name for one in the working directory, and refuses what lies elsewhere", async () => {
  const pod = { homeDir: "/root", torchCacheDir: "/tmp/torchinductor_root", shareMounted: false };
  const settings = { ...readSettings({ flags: {}, env: {}, pod }), pod, embeddedStore: false };
  assert.equal(await confineFile(system("/tmp/dir"), settings, "x.tar.zst"), "/tmp/dir/x.tar.zst");
  assert.equal(await confineFile(system("/"), settings, "/app/x.tar.zst"), "/app/x.tar.zst");
  for (const word of ["/x.tar.zst", "/tmp/../x.tar.zst", "/tmpfoo/x", "/tmp", "../x"]) {
    await assert.rejects(confineFile(system("/tmp"), settings, word), { code: "path_outside_prefix" }, word);
  }
});
