/** A cache of very many small files: slices of the texts of a real one, in two levels of directories as torch has them. */
import { createHash } from "node:crypto";
import * as path from "node:path";
import { seededChance } from "./chance.ts";
import { type TreeFile, writeTreeFile } from "./files.ts";
import { readFixture } from "./fixture_files.ts";
import { perturb } from "./perturb.ts";

export interface SmallFiles {
  readonly files: number;
  readonly bytesEach: number;
  readonly seed: number;
}

export async function makeSmallFiles(
  dir: string,
  { files, bytesEach, seed }: SmallFiles,
): Promise<void> {
  const chance = seededChance(seed);
  const texts = (await readFixture()).filter((file) => isText(file) && file.content.length > bytesEach);
  for (let number = 0; number < files; number++) {
    const text = texts[number % texts.length];
    if (!text) {
      throw new Error(
        `Cannot make small files as no text of the fixture has ${bytesEach} bytes`,
      );
    }
    const start = chance(text.content.length - bytesEach);
    const content = perturb(
      text.content.subarray(start, start + bytesEach),
      chance,
    );
    const digest = createHash("sha256").update(String(number)).digest("hex")
      .slice(0, 32);
    const name = path.join(
      digest.slice(0, 2),
      `c${digest}${path.extname(text.name)}`,
    );
    writeTreeFile(dir, { ...text, name, content });
  }
}

function isText({ content }: TreeFile): boolean {
  return !content.includes(0);
}
