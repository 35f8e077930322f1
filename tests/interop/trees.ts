/** Compile caches whose every file tells what is in it: whatever is restored can be checked by its name. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

const blockBytes = 32;

/** The content that a file of this name has, wherever it is. */
export function contentOf(name: string): Uint8Array {
  const digest = createHash("sha256").update(name).digest();
  const blocks = 20 + (digest[0] ?? 0) * 4;
  return Buffer.concat(
    Array.from(
      { length: blocks },
      (_, at) => createHash("sha256").update(digest).update(String(at)).digest(),
    ),
  ).subarray(0, blocks * blockBytes);
}

/** Writes `count` files, from number `first` on, old enough for any save. */
export function writeNumbered(dir: string, { first, count }: { first: number; count: number }): void {
  for (let number = first; number < first + count; number++) {
    const name = `fxgraph/${String(number % 7)}/entry-${number}`;
    const file = path.join(dir, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, contentOf(name));
    fs.utimesSync(file, 1_700_000_000, 1_700_000_000);
  }
}

/** The paths below `dir`, sorted. */
export function namesBelow(dir: string): string[] {
  if (!fs.existsSync(dir)) return [];
  return fs.readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => fs.statSync(path.join(dir, name)).isFile()).sort();
}

/** The files below `dir` that do not have the content of their name. */
export function wrongFiles(dir: string): string[] {
  return namesBelow(dir).filter((name) =>
    !fs.readFileSync(path.join(dir, name)).equals(Buffer.from(contentOf(name)))
  );
}
