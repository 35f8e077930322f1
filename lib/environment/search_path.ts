/** Finding a program as a shell does. */
import { resolve } from "node:path/posix";
import type { System } from "../system.ts";

type World = Pick<System, "fs" | "env" | "host">;

/** What execvp(3) searches where PATH is not set. */
const defaultPath = "/bin:/usr/bin";

/**
 * The absolute path of a program: with a slash in `name` that very file, else the first match on PATH.
 * Symlinks stay unresolved, as a virtual environment's python is known by the place of its link.
 * @returns undefined where there is no such executable file.
 */
export async function findProgram(world: World, name: string): Promise<string | undefined> {
  for (const path of candidates(world, name)) {
    if (await isExecutable(world, path)) return path;
  }
  return undefined;
}

function candidates({ env, host }: World, name: string): string[] {
  if (name === "") return [];
  if (name.includes("/")) return [resolve(host.workingDir, name)];
  // An empty element stands for the working directory.
  return (env["PATH"] ?? defaultPath).split(":").map((dir) => resolve(host.workingDir, dir, name));
}

async function isExecutable({ fs }: World, path: string): Promise<boolean> {
  try {
    const { kind, mode } = await fs.stat(path);
    return kind === "file" && (mode & 0o111) !== 0;
  } catch {
    return false;
  }
}
