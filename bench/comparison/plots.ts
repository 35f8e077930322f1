import type { Comparison } from "./results.ts";
export function plotComparison(_: Comparison): [string, string][] {
  return [];
}
