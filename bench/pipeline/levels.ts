/** How hard zstd tries, beside gzip. */
import * as path from "node:path";
import type { Places } from "../contenders/contender.ts";
import { remove, storedBytes } from "../places.ts";
import { type Command, runCommand } from "../processes/command.ts";
import { baseEnvironment } from "../processes/environment.ts";
import { weigh } from "../processes/usage.ts";
import { runChild } from "./children.ts";
import { asStored } from "./compression.ts";
import { measureInTurn, type Variant } from "./rounds.ts";
import type { Table } from "./table.ts";

export const gzipLabel = "gzip -6";

const efforts: readonly {
  label: string;
  level: number;
  hashRateLog?: number;
}[] = [
  { label: "1", level: 1 },
  { label: "2", level: 2 },
  { label: "3", level: 3 },
  { label: "3, ldmHashRateLog 4", level: 3, hashRateLog: 4 },
  { label: "5", level: 5 },
];

/** CPU is that of the compression alone: the files are read beside it. */
export const levels: Table = {
  title: "zstd levels: by extension, frames of 32 MiB, long-distance matching",
  trees: ["a", "b", "c"],
  labels: ["level"],
  measure: async ({ places }, { rounds }) => {
    const { tree } = places;
    const variants = efforts.map(({ label, ...effort }): Variant => ({
      labels: [label],
      run: () => {
        const job = {
          tree,
          order: "by extension",
          ...asStored,
          ...effort,
        } as const;
        const { storedBytes = NaN, cpuMs = NaN } = runChild("compress", job);
        return { storedBytes, cpuMs };
      },
    }));
    const tar = path.join(places.base, "tree.tar");
    try {
      await runCommand(shell(`tar --sort=name -cf ${tar} -C ${tree} .`));
      return await measureInTurn([...variants, gzip(places, tar)], { rounds });
    } finally {
      remove(tar);
    }
  },
};

function gzip({ base }: Places, tar: string): Variant {
  const stored = path.join(base, "tree.tar.gz");
  return {
    labels: [gzipLabel],
    run: () => {
      const { cpuMs } = weigh(shell(`gzip -6 <${tar} >${stored}`));
      const figures = { storedBytes: storedBytes(stored), cpuMs };
      remove(stored);
      return figures;
    },
  };
}

function shell(line: string): Command {
  return { argv: ["sh", "-c", line], env: baseEnvironment() };
}
