/** What a network file system costs, as tables for people. */
import { formatTable, megabytes, seconds } from "../../scripts/table.ts";
import type { OperationOnShare, ShareResult } from "./results.ts";

export function describeShare({ command, rounds, machine, operations }: ShareResult): string {
  return [
    `${command}: the real H100 cache, 711 files; each file-system operation on the share waits that long; medians of ` +
    `${rounds} rounds on ${machine.cores} cores of ${machine.cpu}`,
    ...operations.map(callTable),
    latencyTable(operations),
  ].join("\n\n");
}

function callTable({ operation, counted, inARow }: OperationOnShare): string {
  const calls = counted.reduce((sum, one) => sum + one.calls, 0);
  const bytes = counted.reduce((sum, one) => sum + one.bytes, 0);
  const rows = [
    ...counted.map((one) => [one.name, String(one.calls), megabytes(one.bytes)]),
    ["all", String(calls), megabytes(bytes)],
    ["one after the other", inARow.toFixed(1), ""],
  ];
  return formatTable([`${operation}: operations on the share`, "count", "content"], rows);
}

function latencyTable(operations: readonly OperationOnShare[]): string {
  const latencies = operations[0]?.times.map(({ latencyMs }) => `${latencyMs} ms`) ?? [];
  const rows = operations.map(({ operation, times }) => [
    operation,
    ...times.map(({ medianMs }) => seconds(medianMs)),
  ]);
  return formatTable(["each operation waits", ...latencies], rows);
}
