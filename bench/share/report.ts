/** What a network file system costs, as tables for people. */
import { formatTable, megabytes, seconds } from "../../scripts/table.ts";
import type { Operation } from "../contenders/contender.ts";
import type { Counted } from "./count.ts";
import type { OperationOnShare, ShareResult } from "./results.ts";

export function describeShare(
  { command, rounds, machine, operations }: ShareResult,
): string {
  return [
    `${command}: the real H100 cache, 711 files; each file-system operation on the share waits that long; medians of ` +
    `${rounds} rounds on ${machine.cores} cores of ${machine.cpu}`,
    ...operations.map(({ operation, counted, inARow }) =>
      `${callTable(operation, counted)}\n\nAs the times tell it, ${
        inARow.toFixed(0)
      } are made one after the other.`
    ),
    latencyTable(operations),
  ].join("\n\n");
}

/** How often each is made, and what it carries. */
export function callTable(
  operation: Operation,
  counted: readonly Counted[],
): string {
  const calls = counted.reduce((sum, one) => sum + one.calls, 0);
  const bytes = counted.reduce((sum, one) => sum + one.bytes, 0);
  const rows = counted.map((
    one,
  ) => [one.name, String(one.calls), megabytes(one.bytes)]);
  const all = ["all", String(calls), megabytes(bytes)];
  return formatTable([
    `${operation}: operations on the share`,
    "count",
    "content",
  ], [...rows, all]);
}

function latencyTable(operations: readonly OperationOnShare[]): string {
  const latencies = operations[0]?.times.map(({ latencyMs }) => `${latencyMs} ms`) ?? [];
  const rows = operations.map(({ operation, times }) => [
    operation,
    ...times.map(({ medianMs }) => seconds(medianMs)),
  ]);
  return formatTable(["each operation waits", ...latencies], rows);
}
