/** The files of a tree, for making another one of them. */
import * as fs from "node:fs";
import * as path from "node:path";

export interface TreeFile {
  /** Below the tree. */
  readonly name: string;
  readonly content: Uint8Array;
  readonly mode: number;
  readonly mtimeS: number;
}

/** The files below `dir`, sorted by name, so that what is made of them is the same on every machine. */
export function readTree(dir: string): TreeFile[] {
  return namesBelow(dir).map((name) => {
    const file = path.join(dir, name);
    const { mode, mtimeMs } = fs.statSync(file);
    return {
      name,
      content: fs.readFileSync(file),
      mode: mode & 0o777,
      mtimeS: Math.floor(mtimeMs / 1000),
    };
  });
}

/** The names of the files below `dir`, sorted. */
export function namesBelow(dir: string): string[] {
  return fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((
    entry,
  ) => entry.isFile())
    .map((entry) => path.relative(dir, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Writes `file` below `dir`. */
export function writeTreeFile(
  dir: string,
  { name, content, mode, mtimeS }: TreeFile,
): void {
  const file = path.join(dir, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content, { flag: "wx", mode });
  fs.utimesSync(file, mtimeS, mtimeS);
}

export interface TreeSize {
  readonly files: number;
  readonly bytes: number;
}

export function sizeOf(dir: string): TreeSize {
  const names = namesBelow(dir);
  const bytes = names.reduce(
    (sum, name) => sum + fs.statSync(path.join(dir, name)).size,
    0,
  );
  return { files: names.length, bytes };
}
