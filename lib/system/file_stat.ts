/** What node:fs says of a file, as the program has it. */
import type * as fs from "node:fs";
import type { FileKind, FileStat } from "../system.ts";

interface Kinds {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

export function kindOf(entry: Kinds): FileKind {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "directory";
  return entry.isSymbolicLink() ? "symlink" : "other";
}

export function toFileStat(stat: fs.BigIntStats): FileStat {
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

/** @throws where a directory that was opened by its path is not the one that lies there, or a symlink lies there. */
export function requireSame(path: string, opened: fs.BigIntStats, there: fs.BigIntStats): void {
  if (there.isDirectory() && opened.ino === there.ino && opened.dev === there.dev) return;
  throw Object.assign(new Error(`"${path}" is not the directory that was made`), { code: "ENOTDIR" });
}
