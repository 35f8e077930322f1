/** What a directory holds, for comparing two of them. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

/** Each file by its path below the directory: content, permission bits and modification time (ns) in one line. */
export type Snapshot = ReadonlyMap<string, string>;

/** @param resolutionNs Finer differences between modification times do not count. */
export function takeSnapshot(dir: string, resolutionNs = 1n): Snapshot {
  const entries = fs.readdirSync(dir, { recursive: true, withFileTypes: true });
  return new Map(
    entries.filter((entry) => !entry.isDirectory()).map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      return [path.relative(dir, file), describeFile(file, resolutionNs)];
    }),
  );
}

/** The line of one file. */
export function describeFile(file: string, resolutionNs = 1n): string {
  const { mode, mtimeNs } = fs.lstatSync(file, { bigint: true });
  const sha256 = createHash("sha256").update(fs.readFileSync(file)).digest("hex");
  return fileLine({ mode: Number(mode), mtimeNs: mtimeNs / resolutionNs * resolutionNs, sha256 });
}

/** The line of a file of which this is known from elsewhere. */
export function fileLine(
  { mode, mtimeNs, sha256 }: { mode: number; mtimeNs: bigint; sha256: string },
): string {
  return `mode ${(mode & 0o7777).toString(8)}, mtime ${mtimeNs} ns, ${sha256}`;
}

/** One line for each path that differs; empty where the two are the same. */
export function differences(expected: Snapshot, actual: Snapshot): string[] {
  const paths = [...new Set([...expected.keys(), ...actual.keys()])].sort();
  return paths.filter((name) => expected.get(name) !== actual.get(name))
    .map((name) =>
      `${name}: expected ${expected.get(name) ?? "nothing"}, found ${actual.get(name) ?? "nothing"}`
    );
}
