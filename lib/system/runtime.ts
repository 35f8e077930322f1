/** Which runtime this is, and how to start the program again on it. */
import * as os from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Runtime } from "../system.ts";
import { bun } from "./bun.ts";
import { deno } from "./deno.ts";
import { exactTimes } from "./exact_times.ts";
import { denoPermissionFlags } from "./permissions.ts";

// Bun binaries see their own modules below this virtual directory.
const bunBinaryRoot = "/$bunfs/";

/** @throws where the program runs on neither Deno nor Bun. */
export function describeRuntime(): Omit<Runtime, "self"> {
  if (deno) {
    return {
      name: "deno",
      version: deno.version.deno,
      compiled: deno.build.standalone,
      mtimeResolutionNs: 1_000_000n,
      cores: os.availableParallelism(),
    };
  }
  if (bun) {
    return {
      name: "bun",
      version: bun.version,
      compiled: bun.main.startsWith(bunBinaryRoot),
      mtimeResolutionNs: exactTimes ? 1n : 1_000_000n,
      cores: os.availableParallelism(),
    };
  }
  throw new Error("b10-compile-cache runs on Deno or Bun; this is neither");
}

export function selfCommand(runtime: { name: "deno" | "bun"; compiled: boolean }): string[] {
  if (runtime.compiled) return [process.execPath];
  if (deno) return [deno.execPath(), "run", ...denoPermissionFlags, fileURLToPath(deno.mainModule)];
  return [process.execPath, bun?.main ?? ""];
}
