/** The comparison as tables for people. */
import { formatTable, megabytes, seconds } from "../../scripts/table.ts";
import type { Measured } from "../race.ts";
import { callTable } from "../share/report.ts";
import type { Comparison, Cost, Stored, TreeResult } from "./results.ts";
import { judge } from "./targets.ts";

export function describeComparison(comparison: Comparison): string {
  const { machine, leftOut } = comparison;
  return [
    `${comparison.command}: medians of ${comparison.rounds} rounds on ${machine.fileSystem}, ` +
    `${machine.cores} cores of ${machine.cpu}, ${machine.kernel}`,
    ...leftOut.map(({ id, why }) => `Left out: ${id}, as ${why}.`),
    ...comparison.trees.flatMap(describeTree),
    targetTable(comparison),
  ].join("\n\n");
}

function describeTree(tree: TreeResult): string[] {
  return [
    `Tree ${tree.id}: ${tree.title}, ${tree.files} files, ${megabytes(tree.bytes)}`,
    timeTable("load", tree.loads),
    timeTable("save", tree.saves),
    storedTable(tree.stored),
    costTable(tree),
    againTable(tree),
    ...tree.onShare.map(({ operation, counted }) => callTable(operation, counted)),
    `From the start of a load to the first file or directory that it opens on the share: ` +
    `${tree.firstOpenMs.toFixed(1)} ms (inotify, with the start of the process in it).`,
  ];
}

function timeTable(title: string, measured: readonly Measured[]): string {
  const own = measured[0]?.medianMs ?? NaN;
  const rows = measured.map(({ name, runsMs, medianMs }) => [
    name,
    seconds(medianMs),
    seconds(Math.min(...runsMs)),
    seconds(Math.max(...runsMs)),
    (medianMs / own).toFixed(2),
  ]);
  return formatTable([title, "median", "fastest", "slowest", "÷ ours"], rows);
}

function storedTable(stored: readonly Stored[]): string {
  const own = stored[0]?.bytes ?? NaN;
  const rows = stored.map((
    { name, bytes },
  ) => [name, megabytes(bytes), (bytes / own).toFixed(2)]);
  return formatTable(["stored", "size", "÷ ours"], rows);
}

function costTable({ costs }: TreeResult): string {
  const cells = (
    { cpuMs, maxRssBytes }: Cost,
  ) => [seconds(cpuMs), megabytes(maxRssBytes)];
  const rows = costs.map((
    { name, load, save },
  ) => [name, ...cells(load), ...cells(save)]);
  return formatTable([
    "one run",
    "load: CPU",
    "peak memory",
    "save: CPU",
    "peak memory",
  ], rows);
}

function againTable({ again }: TreeResult): string {
  const rows = again.map((save) => [
    `${save.name}: ${save.case}`,
    seconds(save.medianMs),
    String(save.changed),
  ]);
  return formatTable(
    ["save of what is stored", "median", "files changed"],
    rows,
  );
}

function targetTable(comparison: Comparison): string {
  const rows = judge(comparison).map(({ target, measured, isMet }) => [
    target,
    measured,
    isMet === undefined ? "–" : isMet ? "yes" : "NO",
  ]);
  return formatTable(["target", "measured", "met"], rows);
}
