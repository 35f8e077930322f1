/**
 * Why a pod gets no cache: its environment beside those of the caches in the store. What a store says is another
 * pod's word: it is compared as it is, and shown escaped and shortened. Pure.
 */
import { canonicalJson, type JsonValue } from "./canonical_json.ts";
import type { Environment } from "./environment.ts";
import { type CacheKey, computeKey } from "./key.ts";
import { countOf, quote } from "./text.ts";
import type { FactorsReport } from "./vllm_factors.ts";

/** What a manifest says that its writer's environment was. */
export type StoredEnvironment = Readonly<Record<string, JsonValue>>;

/**
 * loadable: a load would try it. evicted: a prune took its layers. empty: nothing was ever saved whole. damaged: what
 * was saved is not there any more, or not whole. unreadable: the share failed, or a newer program wrote it.
 */
export type CacheState = "loadable" | "evicted" | "empty" | "damaged" | "unreadable";

export interface StoredCache {
  readonly key: CacheKey;
  readonly state: CacheState;
  /** Why it is not loadable. */
  readonly problem: string | null;
  /** null where no manifest can be read. */
  readonly environment: StoredEnvironment | null;
  readonly generation: number | null;
  /** ISO 8601 */
  readonly createdAt: string | null;
  /** The names of the directories that its files come from: "inductor", "vllm", … */
  readonly roots: readonly string[];
}

export interface ThisPod {
  readonly environment: Environment;
  readonly namespace: string;
  readonly key: CacheKey;
  /** The key is B10_CACHE_KEY's: it follows from nothing. */
  readonly pinned: boolean;
}

/** A fact of this pod and of the pod that saved a cache. undefined: that side does not have it at all. */
export interface Difference {
  /** A field of `Environment`; one that only a newer program knows; "namespace"; "key" where this pod's is pinned. */
  readonly fact: string;
  readonly here: JsonValue | undefined;
  readonly there: JsonValue | undefined;
}

export interface ComparedCache extends StoredCache {
  /** In the order in which `status` shows the facts; null where nothing is known of its environment. */
  readonly differs: readonly Difference[] | null;
}

/** As `status` shows them. A mapped type, so that no fact is forgotten. */
const factPlaces: Readonly<Record<keyof Environment, number>> = {
  python: 1,
  torch: 2,
  cuda: 3,
  rocm: 4,
  triton: 5,
  vllm: 6,
  accelerator: 7,
  devices: 8,
  machine: 9,
  cpu_isa: 10,
};

const factOrder: readonly string[] = Object.entries(factPlaces)
  .sort(([, a], [, b]) => a - b).map(([name]) => name);

/** For `there`, where the namespace cannot be told: a key is a digest. */
const anotherNamespace = "another, or a pinned key";

/**
 * The caches with what tells them from this pod: its own key first, then those of the fewest differences, the newest
 * first among equals, and last those of which nothing is known.
 */
export function compareCaches(pod: ThisPod, caches: readonly StoredCache[]): ComparedCache[] {
  return caches
    .map((cache) => ({ ...cache, differs: differencesOf(pod, cache) }))
    .sort((a, b) => compareNumbers(distance(pod, a), distance(pod, b)) || newestFirst(a, b));
}

function distance({ key }: ThisPod, cache: ComparedCache): number {
  if (cache.key === key) return -1;
  return cache.differs?.length ?? Number.POSITIVE_INFINITY;
}

/** Not by subtraction: two infinities have no difference. */
function compareNumbers(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function newestFirst(a: StoredCache, b: StoredCache): number {
  return compareNumbers(madeMs(b), madeMs(a)) || (a.key < b.key ? -1 : 1);
}

function madeMs({ createdAt }: StoredCache): number {
  return createdAt === null ? 0 : Date.parse(createdAt) || 0;
}

function differencesOf(pod: ThisPod, { key, environment }: StoredCache): readonly Difference[] | null {
  // Its digest is the key: there is nothing left to differ, whatever the manifest is like.
  if (key === pod.key && !pod.pinned) return [];
  if (!environment) return null;
  const here = new Map<string, JsonValue>(Object.entries(pod.environment));
  const there = new Map(Object.entries(environment));
  const unknown = [...there.keys()].filter((name) => !factOrder.includes(name)).sort();
  const facts = [...factOrder, ...unknown]
    .map((fact) => ({ fact, here: here.get(fact), there: there.get(fact) }))
    .filter((fact) => !isSame(fact.here, fact.there));
  return [...facts, ...originOf(pod, key, environment)];
}

function isSame(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return canonicalJson(a) === canonicalJson(b);
}

/** What is in a key besides the environment, as far as it can be told. */
function originOf(pod: ThisPod, key: CacheKey, environment: StoredEnvironment): Difference[] {
  if (key === pod.key) return [];
  if (pod.pinned) return [{ fact: "key", here: pod.key, there: key }];
  if (key === computeKey(pod.namespace, environment)) return [];
  const there = key === computeKey("default", environment) ? "default" : anotherNamespace;
  return [{ fact: "namespace", here: pod.namespace, there }];
}

/** What is found to be the matter, for programs. */
export type Cause =
  | "loadable"
  | "evicted"
  | "empty"
  | "damaged"
  | "unreadable"
  | "facts_differ"
  | "key_differs"
  | "nothing_known"
  | "empty_store"
  | "no_store"
  | "vllm_factors_differ";

export interface Explanation {
  readonly cause: Cause;
  /** One sentence, without a full stop. */
  readonly message: string;
  /** What to do, a sentence each. */
  readonly advice: readonly string[];
}

export interface Findings {
  readonly pod: ThisPod;
  readonly storeDir: string;
  /** The store lies on this pod, as no shared volume is mounted. */
  readonly embedded: boolean;
  /** As `compareCaches` returns them; undefined where no store was made yet. */
  readonly caches: readonly ComparedCache[] | undefined;
  readonly vllm: readonly FactorsReport[];
}

/** The most likely cause. A restored cache that vLLM did not use comes before everything that the store tells. */
export function explain(findings: Findings): Explanation {
  const explanation = explainVllm(findings.vllm) ?? explainStore(findings);
  return !findings.embedded ? explanation : {
    ...explanation,
    advice: [
      `The store ${
        quote(findings.storeDir)
      } is this pod's alone, as no shared volume is mounted: mount it, or set ` +
      "B10FS_CACHE_DIR to where it is",
      ...explanation.advice,
    ],
  };
}

function explainVllm(reports: readonly FactorsReport[]): Explanation | undefined {
  for (const { place, newest, others } of reports) {
    // What was restored and is the newest was used, or not looked for yet. Without a record it cannot be told.
    if (newest.restored !== false) continue;
    const unused = others.filter(({ restored }) => restored === true)
      .sort((a, b) => a.differences.length + a.more - b.differences.length - b.more)[0];
    const [first] = unused?.differences ?? [];
    if (!unused || !first) continue;
    const count = unused.differences.length + unused.more;
    return {
      cause: "vllm_factors_differ",
      message: `vLLM did not use ${quote(unused.directory)}, which was restored, and made ${
        quote(newest.directory)
      } for ${quote(place)}: ${countOf(count, "factor")} of its key ${
        count === 1 ? "differs," : "differ, the first of them"
      } ${first.path}: ${first.here} here, ${first.there} there`,
      advice: [
        "Give every replica the same value of what is named above, and start vLLM with the same options everywhere: " +
        "its own key has nearly all of its variables in it, those that differ per pod as well",
        "Or save what this pod compiled: the cache then holds both, and a pod like this one finds its own",
      ],
    };
  }
  return undefined;
}

function explainStore({ pod, storeDir, caches }: Findings): Explanation {
  if (!caches) {
    return {
      cause: "no_store",
      message: `no store was made in ${quote(storeDir)} yet: nothing was ever saved there`,
      advice: [saveFirst, otherPlace],
    };
  }
  const [nearest] = caches;
  if (!nearest) {
    return {
      cause: "empty_store",
      message: `the store ${quote(storeDir)} has no cache at all`,
      advice: [saveFirst, otherPlace],
    };
  }
  return nearest.key === pod.key ? explainOwn(nearest) : explainNearest(nearest, caches.length);
}

const saveFirst = "Run a save on a pod that has compiled";
const otherPlace = "If other pods have saved: compare B10FS_CACHE_DIR in status on both";

function explainOwn(cache: ComparedCache): Explanation {
  const its = `the cache of exactly this key, ${quote(cache.key)},`;
  const problem = cache.problem ?? "";
  switch (cache.state) {
    case "loadable": {
      const foreign = cache.differs?.[0];
      return {
        cause: "loadable",
        message: foreign
          ? `${its} is there, in generation ${cache.generation}, but the pod that saved it differs in ` +
            describeDifference(foreign)
          : `${its} is there, in generation ${cache.generation}: a load restores it`,
        advice: foreign
          ? [
            "B10_CACHE_KEY pins the key, so nothing keeps pods apart that differ: unset it, or pin one for each kind",
          ]
          : [
            `It holds files of ${
              cache.roots.join(", ") || "no directory"
            }: a load of others finds nothing in it`,
            "Load before the model compiles: run -- COMMAND does it in that order",
            "If a load ends in ERROR, its message says why; verify reads the cache back",
          ],
      };
    }
    case "evicted":
      return {
        cause: "evicted",
        message: `${its} was evicted by a prune, in generation ${cache.generation}`,
        advice: [
          "The next save fills it again; a larger --max-age or --max-total-size of prune keeps it longer",
        ],
      };
    case "empty":
      return {
        cause: "empty",
        message: `${its} has a place in the store and nothing in it: ${problem}`,
        advice: ["Wait for the save that is under way, or run one"],
      };
    case "damaged":
      return {
        cause: "damaged",
        message: `${its} is damaged: ${problem}`,
        advice: [
          "Delete nothing: the next save of this environment heals it. verify says what else is damaged",
        ],
      };
    case "unreadable":
      return {
        cause: "unreadable",
        message: `${its} cannot be read: ${problem}`,
        advice: ["Look after the volume, or use a newer b10-compile-cache, as the message says"],
      };
  }
  return cache.state satisfies never;
}

function explainNearest(nearest: ComparedCache, count: number): Explanation {
  const among = count === 1 ? "the one cache in the store" : `the nearest of ${count} caches in the store`;
  const { differs } = nearest;
  if (!differs) {
    return {
      cause: "nothing_known",
      message: `${among} does not say what saved it: ${nearest.problem ?? "its manifest cannot be read"}`,
      advice: ["verify says what is damaged", saveFirst],
    };
  }
  const facts = differs.filter(({ fact }) => fact !== "namespace" && fact !== "key");
  if (facts.length > 0) {
    return {
      cause: "facts_differ",
      message: `no cache was saved for this environment: ${among} differs in ${describeList(differs)}`,
      advice: [
        "Use the same image and the same kind of machine as the pods that saved, or save from a pod like this one",
        ...facts.some(isOfPython)
          ? [
            "If the wrong Python was asked, B10_CACHE_PYTHON names the right one: status shows where each fact came from",
          ]
          : [],
      ],
    };
  }
  return {
    cause: "key_differs",
    message: `${among} was saved in this environment, under another key; ${describeList(differs)}`,
    advice: [
      "Set B10_CACHE_NAMESPACE and B10_CACHE_KEY as on the pods that saved, or leave both unset everywhere",
    ],
  };
}

/** What was found out by asking a Python, or was not found as the wrong one was asked. */
function isOfPython({ fact }: Difference): boolean {
  return ["python", "torch", "triton", "vllm"].includes(fact);
}

/** So many are named in one sentence. */
const namedDifferences = 3;

function describeList(differs: readonly Difference[]): string {
  const named = differs.slice(0, namedDifferences).map(describeDifference);
  const rest = differs.length - named.length;
  return `${named.join("; ")}${rest > 0 ? `; and ${rest} more` : ""}`;
}

/** `torch: "2.11.0" here, "2.13.0" there` */
export function describeDifference({ fact, here, there }: Difference): string {
  return `${isPlainName(fact) ? fact : shortened(quote(fact))}: ${inWords(here)} here, ${
    there === anotherNamespace ? there : inWords(there)
  } there`;
}

function isPlainName(name: string): boolean {
  return /^[a-z][a-z0-9_]{0,63}$/.test(name);
}

/** A value of either side on one line. */
function inWords(value: JsonValue | undefined): string {
  if (value === undefined) return "not known";
  if (value === null) return "none";
  if (Array.isArray(value)) {
    return value.length === 0 ? "none" : shortened(value.map((item) => quote(String(item))).join(", "));
  }
  return typeof value === "string" ? shortened(quote(value)) : shortened(quote(canonicalJson(value)));
}

const maxShownCharacters = 200;

function shortened(text: string): string {
  return text.length <= maxShownCharacters ? text : `${text.slice(0, maxShownCharacters)}…`;
}
