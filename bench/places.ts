/** Where the trees and what is stored of them lie, and how a place is emptied. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Places } from "./contenders/contender.ts";

/** The places below `base`, in which there are no others; the share is made. */
export function makePlaces(base: string): Places {
  const share = path.join(base, "model");
  fs.mkdirSync(share, { recursive: true });
  return {
    base,
    tree: path.join(base, "tree"),
    target: path.join(base, "target"),
    share,
  };
}

/** Removes what is there; nothing is as good. */
export function remove(...paths: readonly string[]): void {
  for (const place of paths) fs.rmSync(place, { recursive: true, force: true });
}

/** An empty directory, whatever was there. */
export function emptyDirectory(dir: string): void {
  remove(dir);
  fs.mkdirSync(dir, { recursive: true });
}

/** Bytes of a file, or of all files below a directory. */
export function storedBytes(place: string): number {
  const stat = fs.statSync(place);
  if (!stat.isDirectory()) return stat.size;
  const names = fs.readdirSync(place, { recursive: true, encoding: "utf8" });
  return names.map((name) => fs.statSync(path.join(place, name))).filter((
    entry,
  ) => entry.isFile())
    .reduce((sum, { size }) => sum + size, 0);
}
