/** The program with its share watched, compiled as the program itself is. */
import * as path from "node:path";
import { run } from "../../scripts/process.ts";
import { bunExecutable, projectDir } from "../../scripts/project.ts";
import type { Contender, Places } from "../contenders/contender.ts";
import { program } from "../contenders/program.ts";

const source = path.join(projectDir, "bench", "share", "watched_program.ts");
const buildTimeoutMs = 120 * 1000;

// Those of scripts/build.ts that decide how a binary starts and behaves.
const flags = [
  "--compile",
  "--bytecode",
  "--format=esm",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];

/** Compiles it to below the places' base. @throws {Error} where that fails */
export async function watchedProgram(places: Places): Promise<Contender> {
  const binary = path.join(places.base, "watched-program");
  const argv = [bunExecutable, "build", ...flags, source, "--outfile", binary];
  await run(argv, { timeoutMs: buildTimeoutMs, cwd: projectDir });
  return program(places, {
    words: [binary],
    name: "the watched program",
    dirName: "compile_cache-watched",
  });
}
