/** What the machine itself needs for a restore: a C program that does the same work, and an empty program of this runtime. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { bunExecutable } from "../../scripts/project.ts";
import type { Places } from "../contenders/contender.ts";
import { emptyDirectory } from "../places.ts";
import type { Command } from "../processes/command.ts";
import { baseEnvironment } from "../processes/environment.ts";
import { weigh } from "../processes/usage.ts";
import { inC } from "./limit/in_c.ts";
import { planOfRestore } from "./limit/plan.ts";
import { asLoaded, requireRestored, restoring } from "./restoring.ts";
import { measureInTurn, type Variant } from "./rounds.ts";
import type { Table } from "./table.ts";
import { tarOf } from "./tar.ts";

export const limit: Table = {
  title: "The limit: whole processes, but for the third line",
  trees: ["a", "b", "c"],
  labels: ["restored by"],
  measure: async (subject, { rounds }) => {
    const dir = fs.mkdtempSync(path.join(subject.places.share, "limit-"));
    try {
      const { stored, places } = subject;
      const plan = await planOfRestore(stored, places.target);
      const programs = inC("restore", { dir, plan }).map((program) => restoredBy(places, program));
      const bare = restoring(subject, {
        label: "this pipeline, without start, index and record",
        ...asLoaded,
      });
      return await tarOf(
        places,
        (tar) => measureInTurn([...programs, bare, tar, twoStarts(dir)], { rounds }),
      );
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  },
};

function restoredBy(places: Places, { label, command }: { label: string; command: Command }): Variant {
  return {
    labels: [label],
    run: () => {
      emptyDirectory(places.target);
      const { elapsedMs, cpuMs, maxRssBytes } = weigh(command);
      requireRestored(label, places);
      return { wallMs: elapsedMs, cpuMs, maxRssBytes };
    },
  };
}

/** An empty program, compiled as this one is, twice: as often as the kernel's fence makes a load start. */
function twoStarts(dir: string): Variant {
  const source = path.join(dir, "empty.ts");
  const program = path.join(dir, "empty");
  fs.writeFileSync(source, "export {};\n");
  const flags = ["--compile", "--bytecode", "--format=esm"];
  execFileSync(
    bunExecutable,
    ["build", ...flags, source, "--outfile", program],
    { stdio: "pipe" },
  );
  return {
    labels: ["nothing: two starts of an empty binary"],
    run: () => {
      const starts = [1, 2].map(() => weigh({ argv: [program], env: baseEnvironment() }));
      return {
        wallMs: starts.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0),
        cpuMs: starts.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
        maxRssBytes: Math.max(...starts.map(({ maxRssBytes }) => maxRssBytes)),
      };
    },
  };
}
