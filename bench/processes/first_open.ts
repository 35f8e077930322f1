/** From the start of a process to its first access to the share. */
import * as path from "node:path";
import { projectDir } from "../../scripts/project.ts";
import { type Command, runCommand } from "./command.ts";

const watcher = path.join(projectDir, "bench", "processes", "first_open.py");

/** @returns ms until `command` first opens something at or below `dir`. @throws {Error} where it fails */
export async function firstOpenMs(
  dir: string,
  { argv, env }: Command,
): Promise<number> {
  const { stdout } = await runCommand({
    argv: ["python3", "-S", "-E", watcher, dir, ...argv],
    env,
  });
  return Number(stdout);
}
