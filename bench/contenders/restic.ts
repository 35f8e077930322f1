/** restic, a backup program: chunks, encrypts and packs. A new pod has no cache of it, so it is run without one. */
import * as path from "node:path";
import { emptyDirectory, remove } from "../places.ts";
import { type Command, runCommand } from "../processes/command.ts";
import { baseEnvironment } from "../processes/environment.ts";
import type { Contender, Places } from "./contender.ts";

export function restic({ base, tree, target, share }: Places): Contender {
  const stored = path.join(share, "restic");
  const env = {
    ...baseEnvironment(),
    HOME: path.join(base, "restic-home"),
    RESTIC_REPOSITORY: stored,
    RESTIC_PASSWORD: "benchmark",
  };
  const restic = (...args: readonly string[]): Command => ({
    argv: ["restic", "--no-cache", "--quiet", ...args],
    env,
  });
  // From inside, so that what is stored has no longer paths than the others'.
  const backup = (dir: string): Command => ({
    argv: ["sh", "-c", `cd ${dir} && restic --no-cache --quiet backup .`],
    env,
  });
  return {
    name: "restic",
    stored,
    savesChangesAlone: true,
    prepare: async (operation) => {
      if (operation === "load") {
        emptyDirectory(target);
        return;
      }
      remove(stored);
      await runCommand(restic("init"));
    },
    command: (operation, options = { tree }) =>
      operation === "load" ? restic("restore", "latest", "--target", target) : backup(options.tree),
  };
}
