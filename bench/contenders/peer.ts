/** b10-transfer 0.4.1, run as a user's process runs it. It takes its share below /cache/model only. */
import * as path from "node:path";
import { projectDir } from "../../scripts/project.ts";
import { emptyDirectory } from "../places.ts";
import { baseEnvironment } from "../processes/environment.ts";
import type { Contender, Places } from "./contender.ts";

export const peerName = "b10-transfer 0.4.1";

const script = path.join(projectDir, "bench", "contenders", "peer.py");

export function peer(
  { base, tree, target, share }: Places,
  python: string,
): Contender {
  const pod = path.join(base, "peer-pod");
  const stored = path.join(share, "peer");
  return {
    name: peerName,
    stored,
    savesChangesAlone: false,
    prepare: (operation) => {
      emptyDirectory(pod);
      if (operation === "load") emptyDirectory(target);
      else emptyDirectory(stored);
    },
    command: (operation, options = { tree }) => ({
      argv: [python, script, operation],
      env: {
        ...baseEnvironment(),
        HOME: pod,
        BASETEN_FS_ENABLED: "1",
        TORCHINDUCTOR_CACHE_DIR: operation === "load" ? target : options.tree,
        B10FS_CACHE_DIR: stored,
        LOCAL_WORK_DIR: pod,
        MIN_B10FS_SPACE_MB: "1",
        MIN_LOCAL_SPACE_MB: "1",
        MAX_CONCURRENT_SAVES: "1",
      },
    }),
  };
}
