/** tar with zstd, as a variant of the tables that restore a tree. */
import type { Places } from "../contenders/contender.ts";
import { tarZstd } from "../contenders/shell.ts";
import { remove } from "../places.ts";
import { runCommand } from "../processes/command.ts";
import { weigh } from "../processes/usage.ts";
import { requireRestored } from "./restoring.ts";
import type { Variant } from "./rounds.ts";

/** Has tar save the tree before `measure`, and removes that again after it. */
export async function tarOf<T>(
  places: Places,
  measure: (tar: Variant) => Promise<T>,
): Promise<T> {
  const rival = tarZstd(places);
  await runCommand(rival.command("save"));
  try {
    return await measure(loadOf(places));
  } finally {
    remove(rival.stored);
  }
}

/** A whole process. Its memory is that of its largest one, which is zstd's. */
function loadOf(places: Places): Variant {
  const rival = tarZstd(places);
  const label = "tar --zstd -xf";
  return {
    labels: [label],
    run: async () => {
      await rival.prepare("load");
      const { elapsedMs, cpuMs, maxRssBytes } = weigh(rival.command("load"));
      requireRestored(label, places);
      return { wallMs: elapsedMs, cpuMs, maxRssBytes };
    },
  };
}
