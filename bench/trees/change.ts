/** What a pod adds to its cache when it compiles a little more. */
import * as fs from "node:fs";
import * as path from "node:path";
import { seededChance } from "./chance.ts";
import { namesBelow } from "./files.ts";
import { perturb } from "./perturb.ts";

/** Rewrites `share` / 2 of the files in `dir` and adds as many new ones. @returns how many were changed and added. */
export function changeTree(
  dir: string,
  { share, seed }: { share: number; seed: number },
): number {
  const chance = seededChance(seed);
  const names = namesBelow(dir);
  const each = Math.round(names.length * share / 2);
  for (let number = 0; number < each; number++) {
    const file = path.join(
      dir,
      names[Math.floor(number * names.length / each)] ?? "",
    );
    const { name, ext } = path.parse(file);
    const content = fs.readFileSync(file);
    fs.writeFileSync(
      path.join(path.dirname(file), `${name}-added${ext}`),
      perturb(content, chance),
    );
    fs.writeFileSync(file, perturb(content, chance));
  }
  return 2 * each;
}
