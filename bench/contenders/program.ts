/** This program: the binary, and its source on Deno. */
import * as path from "node:path";
import { expectStatus, resultOf } from "../../scripts/program.ts";
import { binary } from "../../scripts/project.ts";
import { denoPermissionFlags } from "../../lib/system/permissions.ts";
import { mainProgram } from "../../tests/targets.ts";
import { emptyDirectory, remove } from "../places.ts";
import { baseEnvironment } from "../processes/environment.ts";
import type { Contender, Places } from "./contender.ts";

export const ours = "b10-compile-cache";

export interface ProgramOptions {
  /** The words that start the program. */
  readonly words: readonly string[];
  readonly name: string;
  /** Of its store and its pod, which are no other contender's. */
  readonly dirName: string;
}

export const asBinary: ProgramOptions = {
  words: [binary],
  name: ours,
  dirName: "compile_cache",
};

/** The source with the program's own permissions. @param deno the executable itself, as a shim takes time to start. */
export function onDeno(deno: string): ProgramOptions {
  return {
    words: [deno, "run", "--quiet", ...denoPermissionFlags, mainProgram.source],
    name: `${ours}, source on Deno`,
    dirName: "compile_cache-deno",
  };
}

export function program(
  { tree, target, share, base }: Places,
  { words, name, dirName }: ProgramOptions,
): Contender {
  const pod = path.join(base, "pods", dirName);
  const stored = path.join(share, dirName);
  return {
    name,
    stored,
    savesChangesAlone: true,
    prepare: (operation) => {
      emptyDirectory(pod);
      remove(operation === "load" ? target : stored);
    },
    command: (operation, options = { tree }) => ({
      argv: [...words, operation, "--json", "--quiet"],
      env: podEnvironment({
        pod,
        base,
        store: stored,
        root: operation === "load" ? target : options.tree,
      }),
    }),
    check: (finished, expected) => {
      const outcome = resultOf(finished);
      if (!outcome) {
        throw new Error(
          `${name} printed no outcome, though its exit status is 0`,
        );
      }
      expectStatus({ ...outcome, processMs: finished.elapsedMs }, expected);
    },
  };
}

/** The environment of one pod, with a home and a work directory of its own. */
export function podEnvironment(
  { pod, base, store, root }: {
    pod: string;
    base: string;
    store: string;
    root: string;
  },
): Record<string, string> {
  return {
    ...baseEnvironment(),
    HOME: path.join(pod, "home"),
    LOCAL_WORK_DIR: path.join(pod, "work"),
    TORCHINDUCTOR_CACHE_DIR: root,
    B10FS_CACHE_DIR: store,
    B10_CACHE_ALLOWED_PREFIXES: base,
  };
}
