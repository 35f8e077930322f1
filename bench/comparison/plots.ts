/** The comparison as plots. */
import { ours } from "../contenders/program.ts";
import { barChart, type Panel } from "../plot/bars.ts";
import type { Measured } from "../race.ts";
import { megabytes, seconds } from "../../scripts/table.ts";
import type { Comparison, TreeResult } from "./results.ts";

/** Names of files and their contents. */
export function plotComparison(
  { trees }: Comparison,
): readonly (readonly [string, string])[] {
  return [
    [
      "load.svg",
      barChart(
        "Load: whole processes",
        trees.map((tree) => timePanel("Load", tree, tree.loads)),
      ),
    ],
    [
      "save.svg",
      barChart(
        "Save: whole processes",
        trees.map((tree) => timePanel("Save", tree, tree.saves)),
      ),
    ],
    ["stored.svg", barChart("Size in the store", trees.map(storedPanel))],
  ];
}

function timePanel(
  what: string,
  tree: TreeResult,
  measured: readonly Measured[],
): Panel {
  const bars = measured.map(({ name, medianMs }) => ({
    name,
    value: medianMs,
    text: seconds(medianMs),
    isOurs: name === ours,
  }));
  return { title: `${what}: ${describe(tree)}`, bars };
}

function storedPanel(tree: TreeResult): Panel {
  const bars = tree.stored.map(({ name, bytes }) => ({
    name,
    value: bytes,
    text: megabytes(bytes),
    isOurs: name === ours,
  }));
  return { title: `Stored: ${describe(tree)}`, bars };
}

function describe({ title, files, bytes }: TreeResult): string {
  return `${title}, ${files.toLocaleString("en")} files, ${Math.round(bytes / 1e6)} MB`;
}
