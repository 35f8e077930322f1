/**
 * The real disk by synchronous calls. Each call of the real FileSystem wakes another thread, which is most of the
 * time of a test that enumerates thousands of them.
 */
import * as fs from "node:fs";
import type { FileKind, FileStat, FileSystem, OpenFile } from "../lib/system.ts";
import { realSystem } from "../lib/system/real.ts";

const { createDirectorySync, createFileSync, lstatSync } = realSystem().fs;

export const syncFiles: FileSystem = {
  open: (path, mode) => settle(() => openFile(fs.openSync(path, mode, 0o600))),
  stat: (path) => settle(() => statOf(fs.statSync(path, { bigint: true }))),
  lstat: (path) => settle(() => statOf(fs.lstatSync(path, { bigint: true }))),
  list: (path) =>
    settle(() =>
      fs.readdirSync(path, { withFileTypes: true }).map((entry) => ({
        name: entry.name,
        kind: kindOf(entry),
      }))
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
  // A test's files need not outlive a power cut.
  syncDirectory: () => Promise.resolve(),
  freeBytes: (path) =>
    settle(() => {
      const { bavail, bsize } = fs.statfsSync(path);
      return bavail * bsize;
    }),
  fileSystemType: (path) => settle(() => fs.statfsSync(path).type),
  createDirectorySync,
  createFileSync,
  lstatSync,
};

/** What fails, rejects. */
async function settle<T>(act: () => T): Promise<T> {
  return await act();
}

function openFile(fd: number): OpenFile {
  return {
    read: (into, position) => settle(() => fs.readSync(fd, into, 0, into.length, position)),
    append: (bytes) =>
      settle(() => {
        for (let written = 0; written < bytes.length;) {
          written += fs.writeSync(fd, bytes, written, bytes.length - written);
        }
      }),
    stat: () => settle(() => statOf(fs.fstatSync(fd, { bigint: true }))),
    chmod: (mode) => settle(() => fs.fchmodSync(fd, mode)),
    chown: (uid, gid) => settle(() => fs.fchownSync(fd, uid, gid)),
    sync: () => Promise.resolve(),
    close: () => settle(() => fs.closeSync(fd)),
  };
}

function isWritable(path: string): boolean {
  try {
    fs.accessSync(path, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function statOf(stat: fs.BigIntStats): FileStat {
  const { mtimeNs, ctimeNs, dev, ino } = stat;
  return {
    kind: kindOf(stat),
    size: Number(stat.size),
    mode: Number(stat.mode) & 0o7777,
    mtimeNs,
    ctimeNs,
    dev,
    ino,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
  };
}

interface Kinds {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function kindOf(entry: Kinds): FileKind {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "directory";
  return entry.isSymbolicLink() ? "symlink" : "other";
}
