import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { FileSystem } from "../lib/system.ts";
import { walkTree } from "../lib/tree.ts";
import { only } from "./fake_system.ts";
import {
  atEveryCall,
  failWith,
  intercept,
  oldMtimeNs,
  realFiles,
  withDirectory,
  writeFiles,
} from "./pods.ts";

/** Walks `dir` as the root "inductor". */
function walk(dir: string, files: FileSystem = realFiles) {
  return walkTree(files, [{ name: "inductor", dir }]);
}

async function walkedPaths(dir: string, files?: FileSystem): Promise<string[]> {
  return [...(await walk(dir, files)).files.keys()].sort();
}

test("walkTree() finds every file by its path in the store, with its place and its facts", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { "top": "1", "a/one": "22", "a/b/two": "333", ".hidden/.file": "" });
    fs.chmodSync(path.join(dir, "a/one"), 0o600);
    const { files, notices } = await walk(dir);
    assert.deepEqual([...files.keys()].sort(), [
      "inductor/.hidden/.file",
      "inductor/a/b/two",
      "inductor/a/one",
      "inductor/top",
    ]);
    const one = files.get("inductor/a/one") ?? assert.fail();
    assert.equal(one.path, "inductor/a/one");
    assert.equal(one.place, path.join(dir, "a/one"));
    assert.equal(one.stat.kind, "file");
    assert.equal(one.stat.size, 2);
    assert.equal(one.stat.mode, 0o600);
    assert.equal(one.stat.mtimeNs, oldMtimeNs);
    assert.deepEqual(notices, []);
  }));

test("walkTree() keeps the files of several roots apart", () =>
  withDirectory(async (dir) => {
    writeFiles(path.join(dir, "x"), { same: "x" });
    writeFiles(path.join(dir, "y"), { same: "yy" });
    const roots = [{ name: "inductor", dir: path.join(dir, "x") }, {
      name: "vllm",
      dir: path.join(dir, "y"),
    }];
    const { files } = await walkTree(realFiles, roots);
    assert.deepEqual([...files.values()].map((file) => [file.path, file.stat.size]), [
      ["inductor/same", 1],
      ["vllm/same", 2],
    ]);
  }));

test("walkTree() finds every file of a wide and deep tree", () =>
  withDirectory(async (dir) => {
    const files: Record<string, string> = {};
    for (let at = 0; at < 40; at++) files[`wide/${at}/file`] = files[`many${at}`] = "";
    files[`${"deep/".repeat(40)}file`] = "";
    writeFiles(dir, files);
    assert.deepEqual(await walkedPaths(dir), Object.keys(files).map((file) => `inductor/${file}`).sort());
  }));

test("walkTree() leaves out what is no cache content, silently and with all below it", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, {
      "kept/locks2/file": "",
      "locks/abc.lock": "",
      "a/__pycache__/x.pyc": "",
      "a/precompiled_headers/y": "",
      "a/tmp.pid_1_2/z": "",
      ".b10-0123/half": "",
      "a/.b10-0123/deep/half": "",
      "a/x.lock": "",
      "a/model.1.tmp": "",
      "a/.12.34.tmp": "",
      "gpu_p2p_access_cache_for_0,1.json": "",
    });
    fs.symlinkSync("/nowhere", path.join(dir, "a/link.lock"));
    const { files, notices } = await walk(dir);
    assert.deepEqual([...files.keys()], ["inductor/kept/locks2/file"]);
    assert.deepEqual(notices, []);
  }));

test("walkTree() never looks into a directory that is left out", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { "locks/x": "", "a/.b10-1/y": "", "a/file": "" });
    const listed: unknown[] = [];
    const watched = intercept(realFiles, ({ name, args }) => {
      if (name === "list") listed.push(args[0]);
    });
    assert.deepEqual(await walkedPaths(dir, watched), ["inductor/a/file"]);
    assert.deepEqual(listed, [dir, `${dir}/a`]);
  }));

test("walkTree() leaves out symlinks, sockets and pipes with a notice, and never follows a symlink", () =>
  withDirectory(async (base) => {
    const dir = path.join(base, "root");
    writeFiles(dir, { "a/file": "content" });
    writeFiles(path.join(base, "outside"), { canary: "" });
    fs.symlinkSync("../outside", path.join(dir, "to_directory"));
    fs.symlinkSync("../../outside/canary", path.join(dir, "a/to_file"));
    fs.symlinkSync("/nowhere/at/all", path.join(dir, "dangling"));
    fs.symlinkSync(".", path.join(dir, "loop"));
    execFileSync("mkfifo", [path.join(dir, "pipe")]);
    const { files, notices } = await walk(dir);
    assert.deepEqual([...files.keys()], ["inductor/a/file"]);
    assert.deepEqual(
      [...notices].sort(),
      ["a/to_file", "dangling", "loop", "pipe", "to_directory"].map((name) =>
        `"inductor/${name}" is left out as it must be a regular file`
      ),
    );
  }));

const unusableNames: readonly (readonly [string, RegExp])[] = [
  ["back\\slash", /must not contain a backslash$/],
  ["not\ufffdutf8", /must be valid UTF-8$/],
  ["x".repeat(256), /must have names of at most 255 bytes$/],
];

test("walkTree() leaves out files with unusable names, with a notice that says why", async () => {
  for (const [name, problem] of unusableNames) {
    const listing = only<FileSystem>("fs", {
      list: () => Promise.resolve([{ name, kind: "file" }]),
      realPath: (path) => Promise.resolve(path),
    });
    const { files, notices } = await walk("/tmp/root", listing);
    assert.equal(files.size, 0);
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? "", problem);
  }
});

// macOS refuses such a name.
const linuxOnly = { skip: process.platform !== "linux" };

test("a name that is not UTF-8 is left out on a real disk", linuxOnly, () =>
  withDirectory(async (dir) => {
    fs.writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0x66, 0xff, 0x66])]), "");
    const { files, notices } = await walk(dir);
    assert.equal(files.size, 0);
    assert.equal(notices.length, 1);
  }));

test("a notice shows a name on one line, with its control characters escaped", () =>
  withDirectory(async (dir) => {
    fs.symlinkSync("x", path.join(dir, "bad\n\x1b[2J"));
    const { notices } = await walk(dir);
    assert.deepEqual(notices, [
      '"inductor/bad\\n\\u001b[2J" is left out as it must be a regular file',
    ]);
  }));

test("walkTree() leaves out a file that no load would take, with a notice", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { small: "" });
    fs.truncateSync(path.join(dir, "small"), 256 * 1024 * 1024);
    fs.writeFileSync(path.join(dir, "large"), "");
    fs.truncateSync(path.join(dir, "large"), 256 * 1024 * 1024 + 1);
    const { files, notices } = await walkTree(realFiles, [{ name: "inductor", dir }]);
    assert.deepEqual([...files.keys()], ["inductor/small"]);
    assert.deepEqual(notices, ['"inductor/large" is left out as it must have at most 268435456 bytes']);
  }));

test("a root that is not there, or is a file, is empty", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { file: "" });
    for (const place of ["not/there", "file", "file/below"]) {
      assert.deepEqual(await walk(path.join(dir, place)), { files: new Map(), notices: [] });
    }
  }));

/** The real file system, in which some calls on some paths fail. */
function failingAt(place: string, call: string, code: string): FileSystem {
  return intercept(realFiles, ({ name, args }) => {
    if (name === call && args[0] === place) failWith(code)();
  });
}

test("what vanishes while the walk is under way is left out, without a word", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { "a/gone": "", "a/kept": "", "b/gone_with_its_directory": "" });
    for (const code of ["ENOENT", "ENOTDIR"]) {
      const fileGone = await walk(dir, failingAt(`${dir}/a/gone`, "lstat", code));
      assert.deepEqual([...fileGone.files.keys()].sort(), [
        "inductor/a/kept",
        "inductor/b/gone_with_its_directory",
      ]);
      const directoryGone = await walk(dir, failingAt(`${dir}/b`, "list", code));
      assert.deepEqual([...directoryGone.files.keys()].sort(), ["inductor/a/gone", "inductor/a/kept"]);
      assert.deepEqual([...fileGone.notices, ...directoryGone.notices], []);
    }
  }));

test("a file that has become something else between the listing and the look is left out", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { "a": "", "b": "", "c/kept": "" });
    const watched = intercept(realFiles, ({ name, args }) => {
      if (name !== "lstat") return;
      if (args[0] === `${dir}/a`) {
        fs.rmSync(`${dir}/a`);
        fs.symlinkSync("c/kept", `${dir}/a`);
      } else if (args[0] === `${dir}/b`) {
        fs.rmSync(`${dir}/b`);
        fs.mkdirSync(`${dir}/b`);
      }
    });
    assert.deepEqual(await walkedPaths(dir, watched), ["inductor/c/kept"]);
  }));

test("a directory that this user may not read is left out with a notice; the rest is found", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { "secret/x": "", "open/y": "" });
    const { files, notices } = await walk(dir, failingAt(`${dir}/secret`, "list", "EACCES"));
    assert.deepEqual([...files.keys()], ["inductor/open/y"]);
    assert.deepEqual(notices, ['"inductor/secret" is left out as this user may not read it']);
  }));

test("what this user may list and not look at is left out with a notice; the rest is found", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { "closed/x": "", "open/y": "" });
    const { files, notices } = await walk(dir, failingAt(`${dir}/closed/x`, "lstat", "EACCES"));
    assert.deepEqual([...files.keys()], ["inductor/open/y"]);
    assert.deepEqual(notices, ['"inductor/closed/x" is left out as this user may not look at it']);
  }));

test("a directory that becomes a symlink while the walk is under way is not followed out of the root", async () => {
  const calls = await atEveryCall((point) =>
    withDirectory(async (base) => {
      const dir = path.join(base, "root");
      writeFiles(dir, { "a/b/file": "", "kept": "" });
      writeFiles(path.join(base, "outside"), { "b/secret": "", "secret": "" });
      const replace = point.once(() => {
        fs.renameSync(`${dir}/a`, `${base}/moved`);
        fs.symlinkSync("../outside", `${dir}/a`);
      });
      const paths = await walkedPaths(dir, intercept(realFiles, replace));
      assert.ok(paths.every((found) => !found.includes("secret")), paths.join());
      assert.ok(paths.includes("inductor/kept"));
    })
  );
  assert.ok(calls.includes("list"));
});

test("a disk that fails is local_io, and never an empty tree", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { "a/file": "" });
    const failing = [
      [failingAt(`${dir}/a`, "list", "EIO"), `Cannot list "${dir}/a" on this pod: EIO`],
      [failingAt(`${dir}/a/file`, "lstat", "EIO"), `Cannot look at "${dir}/a/file" on this pod: EIO`],
    ] as const;
    for (const [files, message] of failing) {
      await assert.rejects(walk(dir, files), { name: "CacheError", code: "local_io", message });
    }
  }));
