/** A large cache that still compresses like a real one: copies of the real one, no two stretches of which are the same. */
import * as path from "node:path";
import { seededChance } from "./chance.ts";
import { writeTreeFile } from "./files.ts";
import { readFixture } from "./fixture_files.ts";
import { perturb } from "./perturb.ts";

export async function makeCopies(
  dir: string,
  options: { copies: number; seed: number },
): Promise<void> {
  const chance = seededChance(options.seed);
  const files = await readFixture();
  for (let copy = 0; copy < options.copies; copy++) {
    const folder = `m${String(copy).padStart(2, "0")}`;
    for (const file of files) {
      const content = perturb(file.content, chance);
      writeTreeFile(dir, {
        ...file,
        name: path.join(folder, file.name),
        content,
      });
    }
  }
}
