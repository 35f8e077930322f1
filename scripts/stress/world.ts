/** What all pods of one stress have in common. */
import type { Ran, Runner } from "./runner.ts";
import type { Cache, Pod } from "./pod.ts";
import type { Verdict } from "./verdict.ts";

export interface World {
  readonly base: string;
  readonly storeDir: string;
  readonly seed: number;
  readonly killPercent: number;
  /** How long the pods hammer the store. */
  readonly durationMs: number;
  readonly caches: readonly Cache[];
  readonly runner: Runner;
  readonly verdict: Verdict;
  /** Aborts when nobody starts anything more. */
  readonly over: AbortSignal;
  /** Those whose directories are still there. */
  readonly pods: Set<Pod>;
}

/** Why operations may fail that nobody killed. */
const explained = new Set(["contended", "deadline"]);

/** What a process came to must be explained: by its result, or by who killed it. */
export function judge({ verdict }: World, ran: Ran): void {
  const { pod, operation, result, finished, met, newestBefore } = ran;
  const who = `${operation} of ${pod} (${met})`;
  if (finished.timedOut) return verdict.fail("I4", `${who} hung`);
  if (!result) {
    if (met === "killed" && finished.code === 137) return;
    return verdict.fail("I4", `${who} ended with ${finished.code} and no result: ${finished.stderr}`);
  }
  const { status, code, message, generation } = result;
  if (status === "ERROR") {
    const broken = operation === "verify" && code === "bad_layer" ? "I1" : "I4";
    if (!explained.has(code)) verdict.fail(broken, `${who}: ${code}: ${message}`);
    return;
  }
  if (status === "DOES_NOT_EXIST" ? newestBefore > 0 : generation > 0 && generation < newestBefore) {
    const found = status === "DOES_NOT_EXIST" ? "nothing" : `generation ${generation}`;
    verdict.fail("I3", `${who} found ${found} where generation ${newestBefore} had been reported before`);
  }
}
