/** Restores of the stored layer into an empty directory, as variants. */
import type { Places } from "../contenders/contender.ts";
import { emptyDirectory } from "../places.ts";
import { sizeOf } from "../trees/files.ts";
import { runChild } from "./children.ts";
import type { Writing } from "./jobs.ts";
import type { Variant } from "./rounds.ts";
import type { Subject } from "./table.ts";

export interface Restoring {
  readonly label: string;
  readonly framesHeld: number;
  readonly writing: Writing;
}

/** What the program does by default. */
export const asLoaded = {
  framesHeld: 2,
  writing: { kind: "threads", count: 1, fromBytes: 128 * 1024 },
} as const;

export function restoring(
  { places, stored }: Subject,
  { label, framesHeld, writing }: Restoring,
): Variant {
  const { target } = places;
  return {
    labels: [label],
    run: () => {
      emptyDirectory(target);
      const figures = runChild("restore", {
        stored,
        target,
        framesHeld,
        writing,
      });
      requireRestored(label, places);
      return figures;
    },
  };
}

/** @throws {Error} where the target has not as many files and bytes as the tree */
export function requireRestored(label: string, { tree, target }: Places): void {
  const expected = sizeOf(tree);
  const restored = sizeOf(target);
  if (restored.files === expected.files && restored.bytes === expected.bytes) {
    return;
  }
  throw new Error(
    `Cannot measure "${label}" as it restored ${restored.files} files of ${restored.bytes} bytes to "${target}", ` +
      `where it must restore ${expected.files} of ${expected.bytes}`,
  );
}
