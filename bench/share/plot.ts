/** Times of a load and a save by the latency of the share, as a plot. */
import { lineChart } from "../plot/lines.ts";
import type { ShareResult } from "./results.ts";

export function plotShare({ operations }: ShareResult): string {
  return lineChart({
    title: "Time of a load and a save of the real H100 cache, by the latency of each operation on the share",
    x: {
      title: "each operation on the share takes (ms)",
      kind: "linear",
      ticks: operations[0]?.times.map(({ latencyMs }) => latencyMs) ?? [],
      format: (ms) => String(ms),
    },
    y: {
      title: "whole process",
      kind: "linear",
      format: (seconds) => `${seconds} s`,
    },
    lines: operations.map(({ operation, counted, times }, group) => ({
      name: `${operation}, ${counted.reduce((sum, { calls }) => sum + calls, 0)} operations`,
      points: times.map(({ latencyMs, medianMs }) => ({
        x: latencyMs,
        y: medianMs / 1000,
      })),
      group,
    })),
  });
}
