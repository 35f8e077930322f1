/** Who writes the files while the next frames are decoded. */
import type { Writing } from "./jobs.ts";
import { asLoaded, restoring } from "./restoring.ts";
import { measureInTurn } from "./rounds.ts";
import type { Table } from "./table.ts";
import { tarOf } from "./tar.ts";

const kibibyte = 1024;

const writings: readonly { label: string; writing: Writing }[] = [
  { label: "synchronous calls", writing: { kind: "synchronous" } },
  ...[64, 128, 512].map((fromKib) => ({
    label: `from ${fromKib} KiB on by another thread`,
    writing: {
      kind: "large_elsewhere",
      fromBytes: fromKib * kibibyte,
    } as const,
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
    return await tarOf(
      subject.places,
      (tar) => measureInTurn([...ours, tar], { rounds }),
    );
  },
};
