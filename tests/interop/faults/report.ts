/** The table of all findings. Pure. */
import type { Fault, Finding } from "./fault.ts";

export interface Row {
  readonly fault: Fault;
  readonly peer: Finding;
  readonly ours: Finding;
}

const widths = [2, 26, 52, 52, 10] as const;
const header = ["", "fault of b10-transfer 0.4.1", "b10-transfer 0.4.1", "b10-compile-cache", "verdict"];
const gap = "  ";

/** Cells of several lines: what was measured is in words. */
export function formatReport(rows: readonly Row[]): string {
  const rule = widths.map((width) => "-".repeat(width)).join(gap);
  const lines = rows.flatMap((row) => [
    ...formatLine([
      [String(row.fault.number)],
      [row.fault.title],
      row.peer.facts,
      row.ours.facts,
      [verdictOf(row)],
    ]),
    "",
  ]);
  return [...formatLine(header.map((cell) => [cell])), rule, ...lines].join("\n").trimEnd();
}

export function isRight({ peer, ours }: Row): boolean {
  return peer.holds && ours.holds;
}

function verdictOf(row: Row): string {
  if (isRight(row)) return "gone";
  return [row.peer.holds ? "" : "NOT SEEN", row.ours.holds ? "" : "OURS FAILS"].join(" ").trim();
}

function formatLine(cells: readonly (readonly string[])[]): string[] {
  const columns = cells.map((facts, index) => facts.flatMap((fact) => wrap(fact, widths[index] ?? 0)));
  const height = Math.max(...columns.map((column) => column.length));
  return Array.from(
    { length: height },
    (_, line) =>
      columns.map((column, index) => (column[line] ?? "").padEnd(widths[index] ?? 0)).join(gap).trimEnd(),
  );
}

/** Later lines of one fact are indented. */
function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    const longer = line === "" ? word : line === "  " ? `  ${word}` : `${line} ${word}`;
    if (longer.length <= width || line.trim() === "") lines[lines.length - 1] = longer;
    else lines.push(`  ${word}`);
  }
  return lines;
}
