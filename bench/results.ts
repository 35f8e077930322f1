/** Where results are kept. */
import * as fs from "node:fs";
import * as path from "node:path";
import { projectDir } from "../scripts/project.ts";

const resultsDir = path.join(projectDir, "bench", "results");

/** Replaces results/NAME. */
export function writeResult(name: string, text: string): void {
  fs.mkdirSync(resultsDir, { recursive: true });
  fs.writeFileSync(path.join(resultsDir, name), `${text.trimEnd()}\n`);
}

export function writeJson(name: string, content: unknown): void {
  writeResult(name, JSON.stringify(content, null, 2));
}
