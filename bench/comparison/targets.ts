/** What this program is to reach, beside what was measured. Pure. */
import { peerName } from "../contenders/peer.ts";
import { ours } from "../contenders/program.ts";
import { tarGzipName, tarZstdName } from "../contenders/shell.ts";
import type { Measured } from "../race.ts";
import type { TreeId } from "../trees/trees.ts";
import type { AgainCase, Comparison, TreeResult } from "./results.ts";

export interface Judged {
  readonly target: string;
  /** In words: the figure, or that there is none. */
  readonly measured: string;
  readonly isMet: boolean | undefined;
}

interface Target {
  readonly name: string;
  readonly bound: "at most" | "at least";
  readonly limit: number;
  readonly unit: string;
  /** NaN where something that it takes was left out. */
  readonly measure: (comparison: Comparison) => number;
}

const megabyte = 1e6;

const targets: readonly Target[] = [
  {
    ...times("load of a", "tar, zstd", 1.0),
    measure: (all) => ratio(tree(all, "a")?.loads, tarZstdName),
  },
  {
    ...faster("load of a", 20),
    measure: (all) => 1 / ratio(tree(all, "a")?.loads, peerName),
  },
  {
    ...times("load of b", "tar, zstd", 0.75),
    measure: (all) => ratio(tree(all, "b")?.loads, tarZstdName),
  },
  {
    ...faster("load of b", 12),
    measure: (all) => 1 / ratio(tree(all, "b")?.loads, peerName),
  },
  {
    ...times("load of c", "tar, zstd", 1.2),
    measure: (all) => ratio(tree(all, "c")?.loads, tarZstdName),
  },
  {
    ...times("save of b", "tar, zstd", 1.0),
    measure: (all) => ratio(tree(all, "b")?.saves, tarZstdName),
  },
  {
    ...times("stored of a", "gzip -6", 0.45),
    measure: (all) => storedRatio(tree(all, "a")),
  },
  {
    ...times("stored of b", "gzip -6", 0.45),
    measure: (all) => storedRatio(tree(all, "b")),
  },
  {
    ...times("stored of c", "gzip -6", 0.45),
    measure: (all) => storedRatio(tree(all, "c")),
  },
  {
    ...atMost("save of b, unchanged, by the pod that saved it", 0.3, "s"),
    measure: (all) => againMs(all, "unchanged, saved here") / 1000,
  },
  {
    ...atMost("save of b, unchanged, by a pod that loaded it", 0.3, "s"),
    measure: (all) => againMs(all, "unchanged, loaded here") / 1000,
  },
  {
    ...atMost(
      "loaders at once of a: time ÷ (loaders × CPU of one ÷ cores)",
      1.3,
      "×",
    ),
    measure: ({ loadersAtOnce: at }) => at ? at.wallMs / (at.loaders * at.oneCpuMs / at.cores) : NaN,
  },
  {
    ...atMost("peak memory, of any load or save", 256, "MB"),
    measure: (all) => peakBytes(all) / megabyte,
  },
  {
    ...atMost("start of a load to its first access to the share", 30, "ms"),
    measure: (all) => tree(all, "a")?.firstOpenMs ?? NaN,
  },
];

/** Each target with what was found. */
export function judge(comparison: Comparison): Judged[] {
  return targets.map(({ name, bound, limit, unit, measure }) => {
    const figure = measure(comparison);
    const target = `${name}: ${bound} ${limit} ${unit}`;
    if (Number.isNaN(figure)) {
      return { target, measured: "not measured", isMet: undefined };
    }
    const isMet = bound === "at most" ? figure <= limit : figure >= limit;
    return { target, measured: `${figure.toPrecision(3)} ${unit}`, isMet };
  });
}

function atMost(
  name: string,
  limit: number,
  unit: string,
): Omit<Target, "measure"> {
  return { name, bound: "at most", limit, unit };
}

function times(
  name: string,
  rival: string,
  limit: number,
): Omit<Target, "measure"> {
  return atMost(name, limit, `× ${rival}`);
}

function faster(name: string, limit: number): Omit<Target, "measure"> {
  return { name, bound: "at least", limit, unit: "× as fast as b10-transfer" };
}

function tree({ trees }: Comparison, id: TreeId): TreeResult | undefined {
  return trees.find((result) => result.id === id);
}

/** This program's median by the rival's. */
function ratio(measured: readonly Measured[] = [], rival: string): number {
  return medianOf(measured, ours) / medianOf(measured, rival);
}

function medianOf(measured: readonly Measured[], name: string): number {
  return measured.find((one) => one.name === name)?.medianMs ?? NaN;
}

function storedRatio(result: TreeResult | undefined): number {
  const bytesOf = (name: string) => result?.stored.find((one) => one.name === name)?.bytes ?? NaN;
  return bytesOf(ours) / bytesOf(tarGzipName);
}

function againMs(comparison: Comparison, which: AgainCase): number {
  const saves = tree(comparison, "b")?.again.filter((save) => save.case === which);
  return medianOf(saves ?? [], ours);
}

function peakBytes({ trees }: Comparison): number {
  const own = trees.flatMap(({ costs }) => costs).filter(({ name }) => name === ours);
  const peaks = own.flatMap((
    { load, save },
  ) => [load.maxRssBytes, save.maxRssBytes]);
  return peaks.length > 0 ? Math.max(...peaks) : NaN;
}
