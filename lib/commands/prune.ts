/** The command `prune`: removes what the policy says, and what nobody names any more. */
import { byteSize, duration, type Parser, RuleBroken, wholeNumber } from "../config/parsers.ts";
import { whyNothingIsSaved } from "../config.ts";
import { quoteShort } from "../entry_rules.ts";
import { CacheError, UsageError } from "../errors.ts";
import { prune, type PrunedCache } from "../prune.ts";
import { leastKept, type PrunePolicy } from "../prune_policy.ts";
import type { Report } from "../status.ts";
import { countOf, formatBytes } from "../text.ts";
import { bounded } from "./bounded.ts";
import { type CommandContext, type CommonFlags, printLines, settingsLog } from "./context.ts";
import { openFencedStore, openFencedStoreToWrite } from "./fenced_store.ts";

export interface PruneFlags extends CommonFlags {
  readonly maxAge?: string;
  readonly maxTotalSize?: string;
  readonly keepLast?: string;
  readonly dryRun?: boolean;
}

export function pruneCommand(context: CommandContext, flags: PruneFlags): Promise<number> {
  const policy = readPolicy(flags);
  const dryRun = flags.dryRun === true;
  return bounded(context, {
    operation: "prune",
    deadline: "maintenance",
    act: async ({ signal, elapsedMs }) => {
      const { system } = context;
      const { store, settings } = await (dryRun ? openFencedStore : openFencedStoreToWrite)(context);
      const { config } = settings;
      const reason = whyNothingIsSaved(config);
      if (reason !== undefined && !dryRun) {
        throw new CacheError("bad_setting", `Cannot prune as ${reason}; --dry-run works`);
      }
      const log = settingsLog(context, config.logLevel);
      const caches = store
        ? await prune({ system, config, store, policy, dryRun, signal, notice: (text) => log.warning(text) })
        : [];
      if (!context.flags.json && !context.flags.quiet) {
        for (const cache of caches.filter(isChanged)) printLines(system, describe(cache, dryRun));
      }
      return reportOf(caches, { dryRun, elapsedMs: elapsedMs() });
    },
  });
}

/** @throws {UsageError} for a value that breaks its rule, and for no policy at all. */
function readPolicy(flags: PruneFlags): PrunePolicy {
  const policy: PrunePolicy = {
    ...read("maxAgeMs", "--max-age", flags.maxAge, duration),
    ...read("maxTotalBytes", "--max-total-size", flags.maxTotalSize, byteSize),
    ...read("keepLast", "--keep-last", flags.keepLast, wholeNumber(leastKept)),
  };
  if (Object.keys(policy).length > 0) return policy;
  throw new UsageError("prune needs a policy: --max-age, --max-total-size or --keep-last; see prune --help");
}

function read<F extends keyof PrunePolicy>(
  field: F,
  flag: string,
  text: string | undefined,
  parse: Parser<number>,
): { [field in F]?: number } {
  if (text === undefined) return {};
  try {
    return { [field]: parse(text) } as { [field in F]?: number };
  } catch (error) {
    if (!(error instanceof RuleBroken)) throw error;
    throw new UsageError(`Cannot use ${flag} ${quoteShort(text)} as it must ${error.message}`);
  }
}

function isChanged(cache: PrunedCache): boolean {
  return cache.evicted || cache.generationsRemoved > 0 || cache.layersRemoved > 0 || cache.bytesWaiting > 0;
}

function reportOf(
  caches: readonly PrunedCache[],
  { dryRun, elapsedMs }: { dryRun: boolean; elapsedMs: number },
): Report {
  const sum = (count: (cache: PrunedCache) => number) =>
    caches.reduce((total, cache) => total + count(cache), 0);
  const evicted = caches.filter((cache) => cache.evicted);
  const counts = {
    evicted: evicted.map((cache) => cache.key),
    generations_removed: sum((cache) => cache.generationsRemoved),
    layers_removed: sum((cache) => cache.layersRemoved),
    bytes_freed: sum((cache) => cache.bytesFreed),
    bytes_waiting: sum((cache) => cache.bytesWaiting),
  };
  const changed = caches.some(isChanged);
  return {
    operation: "prune",
    status: changed && !dryRun ? "SUCCESS" : "SKIPPED",
    dry_run: dryRun,
    ...counts,
    elapsed_ms: Math.round(elapsedMs),
    message: changed ? describeCounts(counts, dryRun) : "there is nothing to prune",
  };
}

function describeCounts(
  { evicted, layers_removed, bytes_freed, bytes_waiting }: {
    evicted: readonly string[];
    layers_removed: number;
    bytes_freed: number;
    bytes_waiting: number;
  },
  dryRun: boolean,
): string {
  const waiting = bytes_waiting === 0
    ? ""
    : `; ${
      formatBytes(bytes_waiting)
    } that nobody names go in a later run, once they have been marked for long enough ` +
      "(B10_CACHE_PRUNE_GRACE_S)";
  const [evict, free] = dryRun ? ["would evict", "would free"] : ["evicted", "freed"];
  return `${evict} ${countOf(evicted.length, "cache")}; ${free} ${formatBytes(bytes_freed)} of ${
    countOf(layers_removed, "layer")
  }${waiting}`;
}

function describe(cache: PrunedCache, dryRun: boolean): string {
  const parts = [
    ...(cache.evicted ? [dryRun ? "to be evicted" : "evicted"] : []),
    ...(cache.generationsRemoved > 0 ? [`${countOf(cache.generationsRemoved, "generation")} removed`] : []),
    ...(cache.layersRemoved > 0
      ? [`${countOf(cache.layersRemoved, "layer")} removed, ${formatBytes(cache.bytesFreed)}`]
      : []),
    ...(cache.bytesWaiting > 0 ? [`${formatBytes(cache.bytesWaiting)} wait for a later run`] : []),
  ];
  return `${cache.key}\n  ${parts.join("; ")}`;
}
