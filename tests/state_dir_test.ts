import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { resolveSettings } from "../lib/pod.ts";
import { stateDir } from "../lib/state_dir.ts";
import type { FileSystem, Host, System } from "../lib/system.ts";
import { fakeSystem, only } from "./fake_system.ts";
import { failWith, realFiles, withDirectory } from "./pods.ts";

const uid = process.getuid?.() ?? 0;

function system(base: string, { env = {}, host = {}, files = realFiles }: {
  env?: Record<string, string>;
  host?: Partial<Host>;
  files?: FileSystem;
} = {}): System {
  return fakeSystem({
    fs: files,
    env: { HOME: base, USER: "app", TMPDIR: base, B10_CACHE_ALLOWED_PREFIXES: base, ...env },
    host: only<Host>("host", { uid, homeDir: base, workingDir: base, ...host }),
  });
}

interface Place {
  readonly base: string;
  readonly root: string;
  readonly work: string;
  /** Where the state is kept on a pod, and what is said about it. */
  readonly find: (options?: { create?: boolean; host?: Partial<Host>; files?: FileSystem }) => ReturnType<
    typeof stateDir
  >;
}

function withPlace(act: (place: Place) => Promise<void>): Promise<void> {
  return withDirectory(async (base) => {
    const [root, work] = [path.join(base, "torch"), path.join(base, "work")];
    fs.mkdirSync(root);
    const find: Place["find"] = async ({ create = true, host = {}, files = realFiles } = {}) => {
      const pod = system(base, { env: { LOCAL_WORK_DIR: work }, host, files });
      return await stateDir(pod, await resolveSettings(pod, {}), {
        roots: [{ name: "inductor", dir: root }],
        create,
      });
    };
    await act({ base, root, work, find });
  });
}

test("a pod's state lies below LOCAL_WORK_DIR, in a directory that is this user's alone", () =>
  withPlace(async ({ work, find }) => {
    fs.mkdirSync(work);
    const dir = path.join(work, ".b10-compile-cache");
    assert.deepEqual(await find(), { dir, notice: undefined, missedRollback: undefined });
    assert.equal(fs.statSync(dir).mode & 0o7777, 0o700);
    assert.deepEqual(await find(), { dir, notice: undefined, missedRollback: undefined });
  }));

test("where LOCAL_WORK_DIR is absent or not writable it lies beside the cache, and that is said", () =>
  withPlace(async ({ root, work, find }) => {
    const beside = `${root}.b10-state`;
    const absent = await find();
    assert.deepEqual([absent.dir, absent.missedRollback], [beside, undefined]);
    assert.match(
      absent.notice ?? "",
      /^LOCAL_WORK_DIR .* cannot hold this pod's state \(ENOENT\), so it is kept in /,
    );
    assert.ok(!fs.existsSync(work), "LOCAL_WORK_DIR was made");
    fs.rmdirSync(beside);
    fs.mkdirSync(work);
    const files: FileSystem = {
      ...realFiles,
      mkdir: (dir, mode) =>
        dir.startsWith(work) ? Promise.reject(failure("EROFS")) : realFiles.mkdir(dir, mode),
    };
    const readOnly = await find({ files });
    assert.equal(readOnly.dir, beside);
    assert.match(readOnly.notice ?? "", /\(EROFS\)/);
  }));

function failure(code: string): Error {
  try {
    return failWith(code)();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

test("a directory that others could write to, or that is another's, holds no state", () =>
  withPlace(async ({ base, root, find }) => {
    const beside = `${root}.b10-state`;
    fs.mkdirSync(beside);
    fs.chmodSync(beside, 0o770);
    const open = await find();
    assert.equal(open.dir, undefined);
    assert.match(open.notice ?? "", /it is not private to this user\), so none is kept$/);
    fs.chmodSync(beside, 0o700);
    assert.equal((await find({ host: { uid: uid + 1 } })).dir, undefined);
    assert.equal((await find()).dir, beside);
    fs.rmdirSync(beside);
    fs.mkdirSync(path.join(base, "elsewhere"), 0o700);
    fs.symlinkSync(path.join(base, "elsewhere"), beside);
    assert.match((await find()).notice ?? "", /something else has its name/);
  }));

test("who only asks makes no directory", () =>
  withPlace(async ({ root, work, find }) => {
    fs.mkdirSync(work);
    assert.equal((await find({ create: false })).dir, undefined);
    assert.deepEqual([fs.readdirSync(work), fs.existsSync(`${root}.b10-state`)], [[], false]);
  }));

test("why a rollback would be missed: nothing is kept yet, or others took both names; no state is made for the answer", () =>
  withPlace(async ({ root, work, find }) => {
    const missed = async (create: boolean) => (await find({ create })).missedRollback ?? "";
    const notYet = /^nothing that was seen is kept on this pod yet: the next load or save begins to$/;
    const taken =
      /^LOCAL_WORK_DIR ".*work" cannot hold .*, and neither can ".*torch\.b10-state" \(it is not private to this user\), so none is kept; make LOCAL_WORK_DIR a directory that this user alone can write to$/;
    assert.match(await missed(false), notYet);
    fs.mkdirSync(`${root}.b10-state`);
    fs.chmodSync(`${root}.b10-state`, 0o777);
    // LOCAL_WORK_DIR is not there, and nobody makes it.
    for (const create of [false, true]) assert.match(await missed(create), taken);
    fs.mkdirSync(work);
    assert.match(await missed(false), notYet);
    fs.mkdirSync(path.join(work, ".b10-compile-cache"));
    fs.chmodSync(path.join(work, ".b10-compile-cache"), 0o777);
    for (const create of [false, true]) assert.match(await missed(create), taken);
  }));
