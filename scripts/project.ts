/** Where things lie in this project. */
import * as path from "node:path";
import { fileURLToPath } from "node:url";

export const projectDir = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** What `deno task build` and `deno task compile` make lies here. */
export const distDir = path.join(projectDir, "dist");

/** The binary for this machine that `deno task build` makes. */
export const binary = path.join(distDir, "b10-compile-cache");

/** Bun's own executable, of the version that package.json names. */
export const bunExecutable = path.join(projectDir, "node_modules", ".bin", "bun");

/** What the program runs in threads of its own: part of every binary, under this name. */
export const threadSources: readonly string[] = ["lib/system/writer_thread.ts"];
