/** Small caches, and how much of one is in another place. */
import * as fs from "node:fs";
import * as path from "node:path";

/** So old are the files, so that nobody takes them for being written. */
const ageS = 60 * 60;
const randomBytesAtOnce = 65_536;

/** @param sizes name -> bytes, which cannot be compressed. */
export function writeTree(dir: string, sizes: Readonly<Record<string, number>>): void {
  const past = Date.now() / 1000 - ageS;
  for (const [name, bytes] of Object.entries(sizes)) {
    const file = path.join(dir, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, randomBytes(bytes));
    fs.utimesSync(file, past, past);
  }
}

function randomBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += randomBytesAtOnce) {
    crypto.getRandomValues(bytes.subarray(at, at + randomBytesAtOnce));
  }
  return bytes;
}

export interface Share {
  readonly whole: number;
  readonly of: number;
}

/** How many files of `wanted` are in `dir`, byte for byte. */
export function countWhole(wanted: string, dir: string): Share {
  const names = filesIn(wanted);
  const whole = names.filter((name) => isSame(path.join(wanted, name), path.join(dir, name)));
  return { whole: whole.length, of: names.length };
}

export function isAll({ whole, of }: Share): boolean {
  return whole === of;
}

export function inWords({ whole, of }: Share): string {
  return `${whole} of ${of} files`;
}

/** The files below a directory, sorted; none where it is not there. */
export function filesIn(dir: string): string[] {
  if (!fs.existsSync(dir)) return [];
  return fs.readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => fs.statSync(path.join(dir, name)).isFile()).sort();
}

function isSame(one: string, other: string): boolean {
  if (!fs.existsSync(other)) return false;
  return fs.readFileSync(one).equals(fs.readFileSync(other));
}
