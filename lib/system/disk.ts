/**
 * The real file system by synchronous calls, for this pod's own disk: that answers at once, and to wake another thread for
 * each call takes several times as long as the call.
 */
import * as fs from "node:fs";
import type { FileStat, FileSystem, FileVersion, OpenFile } from "../system.ts";
import { deno } from "./deno.ts";
import { exactTimes } from "./exact_times.ts";
import { kindOf, requireSame, toFileStat } from "./file_stat.ts";
import { justThisDirectory, readAtOnce } from "./open_flags.ts";

export function realDisk(): FileSystem {
  return {
    open: (path, mode) =>
      settle(() => toOpenFile(fs.openSync(path, mode === "r" ? readAtOnce : mode, 0o600))),
    stat: (path) => settle(() => toFileStat(fs.statSync(path, { bigint: true }))),
    lstat: (path) => settle(() => lstatSync(path)),
    list: (path) =>
      settle(() =>
        fs.readdirSync(path, { withFileTypes: true }).map((e) => ({ name: e.name, kind: kindOf(e) }))
      ),
    mkdir: (path, mode) => settle(() => createDirectorySync(path, mode)),
    chmod: (path, mode) => settle(() => fs.chmodSync(path, mode)),
    chown: (path, uid, gid) => settle(() => fs.lchownSync(path, uid, gid)),
    link: (existing, path) => settle(() => fs.linkSync(existing, path)),
    rename: (from, to) => settle(() => fs.renameSync(from, to)),
    unlink: (path) => settle(() => fs.unlinkSync(path)),
    rmdir: (path) => settle(() => fs.rmdirSync(path)),
    realPath: (path) => settle(() => fs.realpathSync(path)),
    isWritable: (path) => settle(() => isWritable(path)),
    syncDirectory: (path) => settle(() => syncDirectory(path)),
    freeBytes: (path) =>
      settle(() => {
        const { bavail, bsize } = fs.statfsSync(path);
        return bavail * bsize;
      }),
    fileSystemType: (path) => settle(() => fs.statfsSync(path).type),
    createDirectorySync,
    createFileSync,
    createFile,
    lstatSync,
  };
}

/** What fails, rejects. */
async function settle<T>(act: () => T): Promise<T> {
  return await act();
}

function toOpenFile(fd: number): OpenFile {
  return {
    read: (into, position) => settle(() => fs.readSync(fd, into, 0, into.length, position)),
    append: (bytes) => settle(() => writeAll(fd, bytes)),
    stat: () => settle(() => toFileStat(fs.fstatSync(fd, { bigint: true }))),
    chmod: (mode) => settle(() => fs.fchmodSync(fd, mode)),
    chown: (uid, gid) => settle(() => fs.fchownSync(fd, uid, gid)),
    sync: () => settle(() => fs.fsyncSync(fd)),
    close: () => settle(() => fs.closeSync(fd)),
  };
}

/** One call may write less than it was given. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) {
    written += fs.writeSync(fd, bytes, written, bytes.length - written);
  }
}

interface Facts {
  readonly mode: number;
  readonly mtimeNs: bigint;
}

function createFileSync(path: string, bytes: Uint8Array, facts: Facts): FileVersion {
  const fd = fs.openSync(path, "wx", facts.mode);
  let version: FileVersion;
  try {
    writeAll(fd, bytes);
    version = setFacts(fd, facts);
  } finally {
    fs.closeSync(fd);
  }
  return exactTimes ? version : setTime(path, facts);
}

async function createFile(path: string, bytes: Uint8Array, facts: Facts): Promise<FileVersion> {
  const fd = fs.openSync(path, "wx", facts.mode);
  let version: FileVersion;
  try {
    for (let written = 0; written < bytes.length;) {
      written += await writeElsewhere(fd, bytes.subarray(written));
    }
    version = setFacts(fd, facts);
  } finally {
    fs.closeSync(fd);
  }
  return exactTimes ? version : setTime(path, facts);
}

function writeElsewhere(fd: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) =>
    fs.write(fd, bytes, (error, written) => error ? reject(error) : resolve(written))
  );
}

/** @returns what the file is now, and stays if nobody touches it. */
function setFacts(fd: number, { mode, mtimeNs }: Facts): FileVersion {
  exactTimes?.(fd, mtimeNs);
  const stat = fs.fstatSync(fd, { bigint: true });
  if ((Number(stat.mode) & 0o7777) === mode) return versionOf(stat);
  // The mode given to open(2) is subject to the umask; this one is not.
  fs.fchmodSync(fd, mode);
  return versionOf(fs.fstatSync(fd, { bigint: true }));
}

function versionOf({ ino, size, mtimeNs, ctimeNs }: fs.BigIntStats): FileVersion {
  return { ino, size: Number(size), mtimeNs, ctimeNs };
}

/** Where that could not be done by the open file. */
function setTime(path: string, { mtimeNs }: Facts): FileVersion {
  // As a Date: a negative number means "now" to both runtimes. By Deno's own function: on Deno the one of node:fs
  // falls short of a quarter of all milliseconds from 2038 on, and its futimesSync refuses a Date before 1970.
  const mtime = new Date(Number(mtimeNs / 1_000_000n));
  if (deno) deno.utimeSync(path, mtime, mtime);
  else fs.utimesSync(path, mtime, mtime);
  return versionOf(fs.lstatSync(path, { bigint: true }));
}

/**
 * By a handle of the very directory: chmod(2) follows a symlink that somebody has put in its place meanwhile, to whatever
 * file of this user. The mode given to mkdir(2) is subject to the umask.
 */
function createDirectorySync(path: string, mode: number): void {
  fs.mkdirSync(path, mode);
  const fd = fs.openSync(path, justThisDirectory);
  try {
    // Deno follows symlinks in spite of the flag where its permissions are scoped.
    requireSame(path, fs.fstatSync(fd, { bigint: true }), fs.lstatSync(path, { bigint: true }));
    fs.fchmodSync(fd, mode);
  } finally {
    fs.closeSync(fd);
  }
}

function lstatSync(path: string): FileStat {
  return toFileStat(fs.lstatSync(path, { bigint: true }));
}

function isWritable(path: string): boolean {
  try {
    fs.accessSync(path, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function syncDirectory(path: string): void {
  const fd = fs.openSync(path, readAtOnce);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
