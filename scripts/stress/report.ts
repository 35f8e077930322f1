/** What a stress was and what came of it, for people. */
import { formatTable } from "../table.ts";
import type { Options } from "./options.ts";
import { atOnce, type Ran } from "./runner.ts";
import { graceMs, maxConcurrentSaves } from "./settings.ts";
import type { Watcher } from "./watcher.ts";
import type { World } from "./world.ts";

export function describeStart(
  { minutes, savers, loaders, pruners, seed, killPercent }: Options,
  { caches, storeDir }: World,
): string {
  const { save, load, maintenance } = atOnce;
  return [
    `seed ${seed}: ${savers} savers, ${loaders} loaders and ${pruners} pruners, pods of ${caches.length} caches in one ` +
    `store, for ${minutes} min`,
    `at once run at most ${
      save + load + maintenance
    } processes of them: ${save} saves, ${load} loads, ${maintenance} ` +
    "prunes or verifies; those that sleep do not count",
    `${killPercent}% of the processes are killed and as many stopped for a while, of saves with news twice as many; ` +
    `some sleep longer than the ${graceMs / 1000} s that prunes wait`,
    `the store is ${storeDir}`,
  ].join("\n");
}

export function describeProgress({ runner, caches }: World, elapsedMs: number): string {
  const generations = caches.map(({ journal }) => journal.newest).join(", ");
  return `${
    (elapsedMs / 1000).toFixed(0).padStart(5)
  } s: ${runner.ran.length} processes, generations ${generations}`;
}

const statuses = ["SUCCESS", "SKIPPED", "DOES_NOT_EXIST"] as const;

export function describeEnd({ runner, caches }: World, watcher: Watcher): string {
  const { ran } = runner;
  const operations = ["save", "load", "prune", "verify"] as const;
  const rows = operations.map((operation) =>
    rowOf(operation, ran.filter((one) => one.operation === operation))
  );
  const header = ["", "processes", ...statuses, "contended", "deadline", "other ERROR", "no result"];
  const met = (what: Ran["met"]) => ran.filter((one) => one.met === what).length;
  const removed = (field: "generations_removed" | "layers_removed") =>
    ran.reduce((sum, { result }) => sum + (result?.[field] ?? 0), 0);
  const watched = caches.map(({ key }) => watcher.of(key));
  return [
    formatTable(header, rows),
    "",
    `killed ${met("killed")}, stopped ${met("stopped")}, stopped past the grace ${
      met("stopped past the grace")
    }`,
    `generations ${caches.map(({ journal }) => journal.newest).join(", ")}; at most ` +
    `${watched.map((cache) => cache.mostGenerations).join(", ")} at once; ${
      removed("generations_removed")
    } removed`,
    `layers: at most ${watched.map((cache) => cache.mostLayers).join(", ")} in a generation; ` +
    `${watched.reduce((sum, cache) => sum + cache.compacted.size, 0)} compactions seen; ` +
    `${removed("layers_removed")} layers removed`,
    `savers with a place at the same moment: at most ${watcher.mostSavers} of ${maxConcurrentSaves}`,
    `numbers that were removed and used again: ${
      watched.flatMap((cache) => [...cache.returned]).join(", ") || "none"
    }`,
  ].join("\n");
}

function rowOf(operation: string, ran: readonly Ran[]): string[] {
  const count = (isOne: (one: Ran) => boolean) => String(ran.filter(isOne).length);
  const codes = ["contended", "deadline"];
  return [
    operation,
    String(ran.length),
    ...statuses.map((status) => count(({ result }) => result?.status === status)),
    ...codes.map((code) => count(({ result }) => result?.code === code)),
    count(({ result }) => result?.status === "ERROR" && !codes.includes(result.code)),
    count(({ result }) => result === undefined),
  ];
}
