/** Fleets as tables for people. */
import { formatTable, megabytes, seconds } from "../../scripts/table.ts";
import { trees } from "../trees/trees.ts";
import type { ScaleResult, Simulated } from "./results.ts";
import { gigabytesPerSecond } from "./simulate.ts";
import type { Wave } from "./wave.ts";

/** The fleets that are told in figures. */
const toldCounts: readonly number[] = [1_000, 10_000];

export function describeScale(
  { command, machine, waves, leftOut, simulated, latencyMs }: ScaleResult,
): string {
  return [
    `${command}: the real H100 cache, 711 files; processes at once on ${machine.cores} cores of ${machine.cpu}, ` +
    `${machine.fileSystem}`,
    waveTable(waves),
    "Each pod has every file, and the store is as it was: nothing in it was written, made or removed.",
    ...leftOut,
    `Simulated, from one replica's measured costs (bench/scale/simulation.ts), ${latencyMs} ms for each operation:`,
    ...simulated.map(simulationTable),
  ].join("\n\n");
}

function waveTable(waves: readonly Wave[]): string {
  const rows = waves.map((wave) => [
    String(wave.loaders),
    seconds(wave.fastestMs),
    seconds(wave.medianMs),
    seconds(wave.slowestMs),
    seconds(wave.wallMs),
    seconds(wave.cpuMs),
    seconds(wave.cpuMs / wave.loaders),
    megabytes(wave.maxRssBytes),
  ]);
  const header = [
    "loaders at once",
    "fastest",
    "median",
    "slowest",
    "all",
    "CPU of all",
    "of each",
    "peak memory",
  ];
  return formatTable(header, rows);
}

function simulationTable({ tree, name, cost, fleets }: Simulated): string {
  const rows = toldCounts.map((count) => [
    `${count.toLocaleString("en")} replicas`,
    ...fleets.filter(({ replicas }) => replicas === count).map(({ ms }) => seconds(ms)),
  ]);
  const about =
    `${trees[tree].title}, ${name}: ${seconds(cost.ownMs)} and ${cost.roundTrips} operations each, ` +
    `${megabytes(cost.bytes)} read`;
  return `${about}\n${
    formatTable([
      "share of",
      ...gigabytesPerSecond.map((each) => `${each} GB/s`),
    ], rows)
  }`;
}
