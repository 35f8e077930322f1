/** I2: a target holds what it held, or that plus whole entries, index-like files last. */
import assert from "node:assert/strict";
import { isIndexLike } from "../../lib/roots.ts";
import { isStaged } from "./layout.ts";
import type { Entries } from "./site.ts";
import { restoredFacts, type Tree } from "./trees.ts";

/** What lies in a pod's directory is what it was, as the same files. */
export function assertUntouched(dir: string, before: Entries, after: Entries): void {
  for (const [path, was] of before) {
    if (path !== dir && !path.startsWith(`${dir}/`)) continue;
    const is = after.get(path);
    const isSame = is?.ino === was.ino && is.mode === was.mode &&
      (is.kind === "directory" || restoredFacts(is) === restoredFacts(was));
    assert.ok(isSame, `I2: ${path} is no longer what it was`);
  }
}

/** What came into `dir` are whole files of `after`. @returns whether these are all there. */
export function assertWholeFiles(dir: string, entries: Entries, after: Tree): boolean {
  for (const [path, entry] of entries) {
    if (entry.kind !== "file" || !path.startsWith(`${dir}/`) || isStaged(path)) continue;
    assert.equal(restoredFacts(entry), after[path.slice(dir.length + 1)], `I2: ${path} is no whole file`);
  }
  return Object.keys(after).every((name) => entries.has(`${dir}/${name}`));
}

/** A directory that was absent came whole, and what promises that other files are there after these. */
export function assertInOrder(
  dir: string,
  entries: Entries,
  { before, after }: { before: Tree; after: Tree },
): void {
  const isThere = (name: string) => entries.has(`${dir}/${name}`);
  const names = Object.keys(after);
  for (const name of names.filter((name) => !(name in before) && isThere(name))) {
    const [top] = name.split("/");
    const isNew = !Object.keys(before).some((mine) => mine.startsWith(`${top}/`));
    const siblings = isNew ? names.filter((other) => other.startsWith(`${top}/`)) : [];
    assert.ok(siblings.every(isThere), `I2: ${dir}/${top} came without all that is in it`);
    if (!isIndexLike(baseName(name))) continue;
    const promised = names.filter((other) => !isIndexLike(baseName(other)));
    assert.ok(promised.every(isThere), `I2: ${dir}/${name} came before what it promises`);
  }
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
