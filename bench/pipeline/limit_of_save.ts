/** What the machine itself needs for a save: a C program that does the same work. */
import * as fs from "node:fs";
import * as path from "node:path";
import { tarZstd } from "../contenders/shell.ts";
import { remove, storedBytes } from "../places.ts";
import type { Command } from "../processes/command.ts";
import { weigh } from "../processes/usage.ts";
import { inC } from "./limit/in_c.ts";
import { planOfPack } from "./limit/plan.ts";
import { measureInTurn, type Variant } from "./rounds.ts";
import type { Table } from "./table.ts";

export const limitOfSave: Table = {
  title: "The limit of a save: whole processes; the memory is that of the largest",
  trees: ["a", "b", "c"],
  labels: ["saved by"],
  measure: async ({ places, stored }, { rounds }) => {
    const dir = fs.mkdtempSync(path.join(places.share, "limit-"));
    try {
      const layer = path.join(dir, "layer");
      const plan = await planOfPack(stored, places.tree);
      const programs = inC("pack", { dir, plan, rest: [layer] }).map(({ label, command }) =>
        savedBy(label, layer, command)
      );
      const rival = tarZstd(places);
      const tar = savedBy(rival.name, rival.stored, rival.command("save"));
      return await measureInTurn([...programs, tar], { rounds });
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  },
};

function savedBy(label: string, stored: string, command: Command): Variant {
  return {
    labels: [label],
    run: () => {
      const { elapsedMs, cpuMs, maxRssBytes } = weigh(command);
      const bytes = storedBytes(stored);
      remove(stored);
      return { storedBytes: bytes, wallMs: elapsedMs, cpuMs, maxRssBytes };
    },
  };
}
