/** The real file system, over node:fs: each call waits on another thread. */
import * as fs from "node:fs";
import * as fsp from "node:fs/promises";
import type { DirectoryEntry, FileSystem, OpenFile } from "../system.ts";
import { realDisk } from "./disk.ts";
import { kindOf, requireSame, toFileStat } from "./file_stat.ts";
import { justThisDirectory, readAtOnce } from "./open_flags.ts";

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

/**
 * By a handle of the very directory: chmod(2) follows a symlink that somebody has put in its place meanwhile, to whatever
 * file of this user. The mode given to mkdir(2) is subject to the umask.
 */
async function mkdir(path: string, mode: number): Promise<void> {
  await fsp.mkdir(path, mode);
  const handle = await fsp.open(path, justThisDirectory);
  try {
    // Deno follows symlinks in spite of the flag where its permissions are scoped.
    requireSame(path, await handle.stat({ bigint: true }), await fsp.lstat(path, { bigint: true }));
    await handle.chmod(mode);
  } finally {
    await handle.close();
  }
}

export function realFileSystem(): FileSystem {
  const { createDirectorySync, createFileSync, createFile, lstatSync } = realDisk();
  return {
    createDirectorySync,
    createFileSync,
    createFile,
    lstatSync,
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
  };
}
