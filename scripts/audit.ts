/**
 * `deno task audit`: known vulnerabilities of the packages of bun.lock, by the advisories of their registry. Exits with 0
 * where there are none, 1 where there are some, and 75 where nobody could be asked: that is never "none".
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { projectDir } from "./project.ts";

const notAsked = 75;

const asked = spawnSync("./node_modules/.bin/bun", ["audit", "--json", ...process.argv.slice(2)], {
  cwd: projectDir,
  encoding: "utf8",
});

function advisoriesIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

const advisories = advisoriesIn(asked.stdout ?? "");
if (!advisories) {
  const why = (asked.stderr || asked.error?.message || `exit status ${asked.status}`).trim();
  console.error(`Nothing was audited, as the registry's advisories cannot be read: ${why}`);
  process.exit(notAsked);
}
const affected = Object.keys(advisories);
if (affected.length > 0) {
  console.error(JSON.stringify(advisories, undefined, 2));
  console.error(`Known vulnerabilities in ${affected.join(", ")}`);
  process.exit(1);
}
if (asked.status !== 0) {
  console.error(`Nothing was audited: bun audit ended with ${asked.status}: ${asked.stderr}`);
  process.exit(notAsked);
}
console.log("No known vulnerabilities in the packages of bun.lock");
