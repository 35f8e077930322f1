/** Pods: each a process of its own, with a home, a work directory and a root of its own; all of one store. */
import * as path from "node:path";
import { binary } from "../../scripts/project.ts";
import { podEnvironment } from "../contenders/program.ts";
import type { Command } from "../processes/command.ts";

export interface Loader {
  /** What it loads into. */
  readonly root: string;
  readonly command: Command;
}

/** The loaders of `count` fresh pods in `podsDir`. */
export function makeLoaders(
  podsDir: string,
  { count, base, store }: { count: number; base: string; store: string },
): Loader[] {
  return Array.from({ length: count }, (_, number) => {
    const pod = path.join(podsDir, String(number));
    const root = path.join(pod, "torchinductor");
    return {
      root,
      command: {
        argv: [binary, "load", "--fail-on-miss", "--json", "--quiet"],
        env: podEnvironment({ pod, base, store, root }),
      },
    };
  });
}
