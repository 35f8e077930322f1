/** Every operation costs at least a second of polling, and importing torch. */
import type { Fault, Finding } from "./fault.ts";
import type { Stage } from "./stage.ts";
import { writeTree } from "./trees.ts";

const rounds = 3;

/** What b10-transfer's two polls of 0.5 s take at least. */
const pollingS = 1;

const tiny = { "1.so": 1000 };

async function peer(stage: Stage): Promise<Finding> {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, tiny);
  const save = await stage.peer(saver, ["save"]);
  const load = await stage.peer(stage.pod("loader"), ["load"]);
  const [saveS = 0, loadS = 0] = [save, load].map(({ results }) => results[0]?.seconds);
  const statuses = [save, load].map(({ results }) => results[0]?.status);
  return {
    holds: statuses.every((status) => status === "SUCCESS") && saveS >= pollingS && loadS >= pollingS,
    facts: [
      `one file of 1 kB: save ${saveS.toFixed(2)} s, load ${loadS.toFixed(2)} s`,
      `and the import ${load.import_s.toFixed(2)} s, with a torch for CPUs`,
    ],
  };
}

async function ours(stage: Stage): Promise<Finding> {
  const saves = [];
  const loads = [];
  for (let round = 0; round < rounds; round++) {
    const fresh = stage.another(`round-${round}`);
    const saver = fresh.pod("saver");
    writeTree(saver.torchDir, tiny);
    saves.push(await fresh.ours(saver, ["save"]));
    loads.push(await fresh.ours(fresh.pod("loader"), ["load"]));
  }
  const [saveS, loadS] = [saves, loads].map((runs) => median(runs.map(({ seconds }) => seconds))) as [
    number,
    number,
  ];
  return {
    holds: [...saves, ...loads].every(({ result }) => result?.status === "SUCCESS") &&
      saveS < pollingS && loadS < pollingS,
    facts: [
      `one file of 1 kB, whole processes, medians of ${rounds}: save ${saveS.toFixed(2)} s, load ${
        loadS.toFixed(2)
      } s`,
    ],
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

export const slowOperations: Fault = {
  number: 7,
  title: "An operation costs at least 1 s of polling, and the import of torch",
  peer,
  ours,
};
