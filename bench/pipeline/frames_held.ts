/** How many frames a load has in memory at once. */
import { asLoaded, restoring } from "./restoring.ts";
import { measureInTurn } from "./rounds.ts";
import type { Table } from "./table.ts";

const counts = [2, 3, 4, 6];

export const framesHeld: Table = {
  title: "Frames held: large files by another thread",
  trees: ["b"],
  labels: ["frames held"],
  measure: (subject, { rounds }) =>
    measureInTurn(
      counts.map((count) =>
        restoring(subject, {
          ...asLoaded,
          label: String(count),
          framesHeld: count,
        })
      ),
      { rounds },
    ),
};
