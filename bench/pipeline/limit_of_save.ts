/** What the machine itself needs for a save: a C program that does the same work. */
import * as fs from "node:fs";
import * as path from "node:path";
import { tarZstd } from "../contenders/shell.ts";
import { remove, storedBytes } from "../places.ts";
import { type Command } from "../processes/command.ts";
import { baseEnvironment } from "../processes/environment.ts";
import { weigh } from "../processes/usage.ts";
import { compileC, inCLabel } from "./limit/compile.ts";
import { planOfPack } from "./limit/plan.ts";
import { measureInTurn, type Variant } from "./rounds.ts";
import type { Table } from "./table.ts";

const threads = [1, 2];

export const limitOfSave: Table = {
  title: "The limit of a save: whole processes; the memory is that of the largest",
  trees: ["a", "b", "c"],
  labels: ["saved by"],
  measure: async ({ places, stored }, { rounds }) => {
    const dir = fs.mkdtempSync(path.join(places.share, "limit-"));
    try {
      const program = compileC("pack", dir);
      const plan = path.join(dir, "plan");
      const layer = path.join(dir, "layer");
      fs.writeFileSync(plan, await planOfPack(stored, places.tree));
      const inC = threads.map((count) =>
        savedBy(inCLabel(count), layer, {
          argv: [program, plan, String(count), layer],
          env: baseEnvironment(),
        })
      );
      const rival = tarZstd(places);
      const tar = savedBy(rival.name, rival.stored, rival.command("save"));
      return await measureInTurn([...inC, tar], { rounds });
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
