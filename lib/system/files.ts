/** The real file system, over node:fs. */
import * as fs from "node:fs";
import * as fsp from "node:fs/promises";
import type { DirectoryEntry, FileKind, FileStat, FileSystem, OpenFile } from "../system.ts";
import { deno } from "./deno.ts";
import { exactTimes } from "./exact_times.ts";

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

function toFileStat(stat: fs.BigIntStats): FileStat {
  return {
    kind: kindOf(stat),
    size: Number(stat.size),
    mode: Number(stat.mode) & 0o7777,
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    dev: stat.dev,
    ino: stat.ino,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
  };
}

function toOpenFile(handle: fsp.FileHandle): OpenFile {
  return {
    read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
    append: async (bytes) => {
      // One call may write less than it was given.
      for (let written = 0; written < bytes.length;) {
        written += (await handle.write(bytes, written, bytes.length - written)).bytesWritten;
      }
    },
    stat: async () => toFileStat(await handle.stat({ bigint: true })),
    chmod: (mode) => handle.chmod(mode),
    chown: (uid, gid) => handle.chown(uid, gid),
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

function createFileSync(path: string, bytes: Uint8Array, options: { mode: number; mtimeNs: bigint }): void {
  const fd = fs.openSync(path, "wx", options.mode);
  try {
    for (let written = 0; written < bytes.length;) {
      written += fs.writeSync(fd, bytes, written, bytes.length - written);
    }
    // The mode given to open(2) is subject to the umask; this one is not.
    fs.fchmodSync(fd, options.mode);
    exactTimes?.(fd, options.mtimeNs);
  } finally {
    fs.closeSync(fd);
  }
  if (exactTimes) return;
  // As a Date: a negative number means "now" to both runtimes. By Deno's own function: on Deno the one of node:fs
  // falls short of a quarter of all milliseconds from 2038 on, and its futimesSync refuses a Date before 1970.
  const mtime = new Date(Number(options.mtimeNs / 1_000_000n));
  if (deno) deno.utimeSync(path, mtime, mtime);
  else fs.utimesSync(path, mtime, mtime);
}

/**
 * By a handle of the very directory: chmod(2) follows a symlink that somebody has put in its place meanwhile, to whatever
 * file of this user. The mode given to mkdir(2) is subject to the umask.
 */
async function mkdir(path: string, mode: number): Promise<void> {
  await fsp.mkdir(path, mode);
  const handle = await fsp.open(path, justThisDirectory);
  try {
    // Deno follows symlinks in spite of the flag where its permissions are scoped.
    const [opened, there] = [await handle.stat({ bigint: true }), await fsp.lstat(path, { bigint: true })];
    if (!there.isDirectory() || opened.ino !== there.ino || opened.dev !== there.dev) {
      throw Object.assign(new Error(`"${path}" is not the directory that was made`), { code: "ENOTDIR" });
    }
    await handle.chmod(mode);
  } finally {
    await handle.close();
  }
}

function createDirectorySync(path: string, mode: number): void {
  fs.mkdirSync(path, mode);
  fs.chmodSync(path, mode);
}

/** Opening a FIFO would otherwise wait for its writer, for ever. Of regular files, nothing else changes. */
const readAtOnce = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK;

const justThisDirectory = readAtOnce | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW;

export function realFileSystem(): FileSystem {
  return {
    open: async (path, mode) => toOpenFile(await fsp.open(path, mode === "r" ? readAtOnce : mode, 0o600)),
    stat: async (path) => toFileStat(await fsp.stat(path, { bigint: true })),
    lstat: async (path) => toFileStat(await fsp.lstat(path, { bigint: true })),
    list: async (path): Promise<DirectoryEntry[]> =>
      (await fsp.readdir(path, { withFileTypes: true })).map((e) => ({ name: e.name, kind: kindOf(e) })),
    mkdir,
    chmod: (path, mode) => fsp.chmod(path, mode),
    chown: (path, uid, gid) => fsp.lchown(path, uid, gid),
    link: (existing, path) => fsp.link(existing, path),
    rename: (from, to) => fsp.rename(from, to),
    unlink: (path) => fsp.unlink(path),
    rmdir: (path) => fsp.rmdir(path),
    realPath: (path) => fsp.realpath(path),
    isWritable: async (path) => {
      try {
        await fsp.access(path, fs.constants.W_OK);
        return true;
      } catch {
        return false;
      }
    },
    syncDirectory: async (path) => {
      const handle = await fsp.open(path, readAtOnce);
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
    freeBytes: async (path) => {
      const stat = await fsp.statfs(path);
      return stat.bavail * stat.bsize;
    },
    fileSystemType: async (path) => (await fsp.statfs(path)).type,
    createDirectorySync,
    createFileSync,
    lstatSync: (path) => toFileStat(fs.lstatSync(path, { bigint: true })),
  };
}
