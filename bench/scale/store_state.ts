/** The state of a store, down to whether anything was written, made, renamed or removed in it in the meantime. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

/** Every file and directory at or below `dir` by its path: content and times of change, which no program can set. */
export function storeState(dir: string): ReadonlyMap<string, string> {
  const below = fs.readdirSync(dir, { recursive: true, encoding: "utf8" });
  const places = [dir, ...below.map((name) => path.join(dir, name)).sort()];
  return new Map(places.map((place) => [place, describe(place)]));
}

function describe(place: string): string {
  const stat = fs.statSync(place, { bigint: true });
  const content = stat.isFile() ? createHash("sha256").update(fs.readFileSync(place)).digest("hex") : "";
  return `changed ${stat.ctimeNs} ns, ${stat.size} bytes, ${content}`;
}
