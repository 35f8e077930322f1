/** Part of `deno task gate`: no import cycles, and every module of lib/ imports only what it may. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { parseGraph } from "./imports/graph.ts";
import { findProblems } from "./imports/rules.ts";
import { capture } from "./process.ts";
import { projectDir } from "./project.ts";

function sources(): string[] {
  return ["main.ts", "lib", "scripts", "tests", "bench"].flatMap((place) => {
    if (place.endsWith(".ts")) return [place];
    const names = fs.readdirSync(path.join(projectDir, place), { recursive: true, encoding: "utf8" });
    return names.filter((name) => name.endsWith(".ts")).map((name) => path.join(place, name));
  });
}

/** `deno info` takes one file, so one file imports all others. */
async function describeImports(): Promise<string> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "b10-imports-"));
  try {
    const entry = path.join(dir, "all.ts");
    const lines = sources().map((file) =>
      `import ${JSON.stringify(pathToFileURL(path.join(projectDir, file)).href)};`
    );
    fs.writeFileSync(entry, lines.join("\n"));
    const info = await capture([
      "deno",
      "info",
      "--json",
      "--config",
      path.join(projectDir, "deno.json"),
      entry,
    ], { timeoutMs: 60_000 });
    if (info.code !== 0) throw new Error(`Cannot list the imports as deno info failed: ${info.stderr}`);
    return info.stdout;
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

const modules = parseGraph(await describeImports(), projectDir);
const problems = findProblems(modules);
for (const problem of problems) console.error(problem);
console.error(`imports: ${modules.length} modules, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
