/** Who writes the files while the next frames are decoded. */
import type { Places } from "../contenders/contender.ts";
import { tarZstd } from "../contenders/shell.ts";
import { remove } from "../places.ts";
import { runCommand } from "../processes/command.ts";
import { weigh } from "../processes/usage.ts";
import type { Writing } from "./jobs.ts";
import { asLoaded, requireRestored, restoring } from "./restoring.ts";
import { measureInTurn, type Variant } from "./rounds.ts";
import type { Table } from "./table.ts";

const kibibyte = 1024;

const writings: readonly { label: string; writing: Writing }[] = [
  { label: "synchronous calls", writing: { kind: "synchronous" } },
  ...[64, 128, 512].map((fromKib) => ({
    label: `from ${fromKib} KiB on by another thread`,
    writing: { kind: "large_elsewhere", fromBytes: fromKib * kibibyte } as const,
  })),
  ...[1, 2].map((count) => ({
    label: `so, and small ones by ${count === 1 ? "a thread" : `${count} threads`} of their own besides`,
    writing: { kind: "threads", count, fromBytes: 128 * kibibyte } as const,
  })),
];

export const writers: Table = {
  title: `Writers: ${asLoaded.framesHeld} frames held`,
  trees: ["b", "c"],
  labels: ["written by"],
  measure: async (subject, { rounds }) => {
    const ours = writings.map((writing) => restoring(subject, { ...asLoaded, ...writing }));
    const rival = tarZstd(subject.places);
    await runCommand(rival.command("save"));
    try {
      return await measureInTurn([...ours, tar(subject.places)], { rounds });
    } finally {
      remove(rival.stored);
    }
  },
};

/** A whole process. Its memory is that of its largest one, which is zstd's. */
function tar(places: Places): Variant {
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
