/** The command `verify [KEY]`: reads everything back, checks every digest, and says what is wrong. */
import { type CacheKey, parseKey } from "../key.ts";
import type { Report } from "../status.ts";
import type { Store } from "../store.ts";
import { countOf, formatBytes, quote } from "../text.ts";
import { type VerifiedCache, verify } from "../verify.ts";
import { bounded } from "./bounded.ts";
import { type CommandContext, printLines } from "./context.ts";
import { openFencedStore } from "./fenced_store.ts";

export function verifyCommand(context: CommandContext, words: readonly string[]): Promise<number> {
  const { system } = context;
  return bounded(context, {
    operation: "verify",
    deadline: "maintenance",
    act: async ({ signal, elapsedMs }) => {
      const { store, storeDir, settings } = await openFencedStore(context);
      const chosen = words[0] === undefined ? settings.config.pinnedKey : parseKey(words[0], "KEY");
      const keys = store ? await keysOf(store, chosen) : [];
      if (!store || keys.length === 0) {
        const what = chosen === null ? "any cache" : `the cache ${JSON.stringify(chosen)}`;
        return {
          operation: "verify",
          status: "DOES_NOT_EXIST",
          caches: [],
          elapsed_ms: Math.round(elapsedMs()),
          message: `${storeDir} does not hold ${what}`,
        };
      }
      using progress = context.makeProgress("verify");
      const caches = await verify({ store, keys, signal, progress: progress.update });
      if (!context.flags.json && !context.flags.quiet) {
        for (const cache of caches) printLines(system, describe(cache));
      }
      return reportOf(caches, elapsedMs());
    },
  });
}

async function keysOf(store: Store, chosen: string | null): Promise<CacheKey[]> {
  return (await store.keys()).filter((key) => chosen === null || key === chosen);
}

function reportOf(caches: readonly VerifiedCache[], elapsedMs: number): Report {
  const problems = caches.flatMap((cache) => cache.problems);
  const untrusted = caches.reduce((sum, cache) => sum + (cache.untrusted ?? 0), 0);
  const bytes = caches.reduce((sum, cache) => sum + cache.bytes, 0);
  const read = `${countOf(caches.length, "cache")}, ${
    countOf(caches.reduce((sum, cache) => sum + cache.layers, 0), "layer")
  }, ${formatBytes(bytes)}`;
  const common = {
    operation: "verify",
    caches: caches.map((
      { problems, supersededProblems, supersededUntrusted, signedBy = [], untrusted: _, ...counts },
    ) => ({
      ...counts,
      signed_by: [...signedBy],
      problems: [...problems],
      superseded_problems: [...supersededProblems],
      superseded_untrusted: [...supersededUntrusted],
    })),
    bytes,
    elapsed_ms: Math.round(elapsedMs),
  };
  const inOrder = describeOrder(
    caches.reduce((sum, cache) => sum + cache.supersededProblems.length, 0),
    caches.reduce((sum, cache) => sum + cache.supersededUntrusted.length, 0),
  );
  return problems.length === 0 ? { ...common, status: "SUCCESS", message: `${read}: ${inOrder}` } : {
    ...common,
    status: "ERROR",
    code: problems.length === untrusted ? "untrusted" : "bad_layer",
    message: `${read}: ${countOf(problems.length, "problem")}; ${
      problems.join("; ")
    }. Loads fall back to what is intact, and the next save of that environment heals the cache`,
  };
}

/** Where the newest generations are as they should be: what is to say of superseded ones. */
function describeOrder(damaged: number, untrusted: number): string {
  const digests = damaged === 0
    ? "every digest is right"
    : `every digest of the newest generations is right; ${
      countOf(damaged, "problem")
    } in superseded ones, which nobody loads and a prune removes`;
  return untrusted === 0
    ? digests
    : `${digests}; no key that is trusted now has signed ${
      countOf(untrusted, "superseded generation")
    }, as after a rotation: nobody loads what is superseded, and a prune removes it`;
}

function describe(cache: VerifiedCache): string {
  const counts = `${countOf(cache.generations, "generation")}, ${countOf(cache.layers, "layer")}, ${
    countOf(cache.files, "file")
  }, ${formatBytes(cache.bytes)}`;
  return [
    cache.key,
    `  ${counts}${cache.signedBy ? `, signed by ${cache.signedBy.map(quote).join(", ")}` : ""}`,
    ...cache.problems.map((problem, at) => `  ${at < (cache.untrusted ?? 0) ? "" : "damaged: "}${problem}`),
    ...cache.supersededUntrusted.map((problem) => `  superseded: ${problem}`),
    ...cache.supersededProblems.map((problem) => `  damaged in a superseded generation: ${problem}`),
  ].join("\n");
}
