/** The choices of the pipeline as tables for people. */
import { formatTable, megabytes, seconds } from "../../scripts/table.ts";
import { trees } from "../trees/trees.ts";
import { gzipLabel } from "./levels.ts";
import type { MeasuredTable, PipelineResult } from "./results.ts";
import type { Row } from "./rounds.ts";
import { tables } from "./tables.ts";

interface Column {
  readonly header: string;
  /** @returns undefined where the row does not tell it. */
  readonly cell: (row: Row, rows: readonly Row[]) => string | undefined;
}

const columns: readonly Column[] = [
  {
    header: "stored",
    cell: ({ median }) => told(median.storedBytes, megabytes),
  },
  {
    header: `÷ ${gzipLabel}`,
    cell: (row, rows) => told(shareOfGzip(row, rows), (share) => share.toFixed(2)),
  },
  { header: "time", cell: ({ median }) => told(median.wallMs, seconds) },
  { header: "CPU", cell: ({ median }) => told(median.cpuMs, seconds) },
  {
    header: "peak memory",
    cell: ({ median }) => told(median.maxRssBytes, megabytes),
  },
];

export function describePipeline(
  { command, machine, measured, leftOut }: PipelineResult,
): string {
  return [
    `${command}: ${machine.cores} cores of ${machine.cpu}, ${machine.fileSystem}; medians`,
    ...measured.map(describeTable),
    ...leftOut,
  ].join("\n\n");
}

function describeTable({ table, tree, rows }: MeasuredTable): string {
  const { title, labels } = tables[table];
  const shown = columns.filter(({ cell }) => rows.some((row) => cell(row, rows) !== undefined));
  const lines = rows.map((
    row,
  ) => [...row.labels, ...shown.map(({ cell }) => cell(row, rows) ?? "")]);
  const header = [...labels, ...shown.map(({ header }) => header)];
  return `${title}. Tree ${tree}, ${trees[tree].title}\n${formatTable(header, lines)}`;
}

/** @returns undefined where gzip did not take part. */
function shareOfGzip(
  { median }: Row,
  rows: readonly Row[],
): number | undefined {
  const gzip = rows.find(({ labels }) => labels.includes(gzipLabel));
  if (
    gzip?.median.storedBytes === undefined || median.storedBytes === undefined
  ) return undefined;
  return median.storedBytes / gzip.median.storedBytes;
}

function told(
  figure: number | undefined,
  format: (figure: number) => string,
): string | undefined {
  return figure === undefined ? undefined : format(figure);
}
