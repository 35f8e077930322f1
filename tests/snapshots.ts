/** Snapshots of caches, made by hand. */
import type { FileStat } from "../lib/system.ts";
import type { Snapshot } from "../lib/snapshot.ts";

export interface FileFacts {
  readonly size?: number;
  readonly ino?: bigint;
  readonly mtimeNs?: bigint;
  readonly ctimeNs?: bigint;
}

export function statOf({ size = 100, ino = 1n, mtimeNs = 0n, ctimeNs = 0n }: FileFacts = {}): FileStat {
  return { kind: "file", size, mode: 0o644, mtimeNs, ctimeNs, dev: 1n, ino, uid: 0, gid: 0 };
}

export function snapshotOf(files: Readonly<Record<string, FileFacts>>): Snapshot {
  return new Map(Object.entries(files).map(([path, facts]) => [path, statOf(facts)]));
}
