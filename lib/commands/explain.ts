/** The command `explain`: why this pod got no cache, or one that nothing used. */
import type { JsonValue } from "../canonical_json.ts";
import { messageOf } from "../errors.ts";
import {
  compareCaches,
  type ComparedCache,
  describeDifference,
  explain,
  type Explanation,
  type Findings,
  type StoredCache,
  type ThisPod,
} from "../explain.ts";
import { findHead } from "../history.ts";
import type { CacheKey } from "../key.ts";
import type { Manifest } from "../manifest.ts";
import { readMarks } from "../marks.ts";
import { readSignatures } from "../key_files.ts";
import { putUpFence } from "../fence.ts";
import { identify } from "../pod.ts";
import { confineRoots, refuseStoreInRoots } from "../pod_roots.ts";
import { PodState } from "../pod_state.ts";
import type { RestoredFile } from "../restored_record.ts";
import { openPodStore } from "../pod_store.ts";
import type { CacheRoot } from "../roots.ts";
import type { Signatures } from "../signatures.ts";
import { stateDir } from "../state_dir.ts";
import { describeEnvironment, type Report } from "../status.ts";
import type { Store } from "../store.ts";
import type { Fence, System } from "../system.ts";
import { countOf, escapeUnseen, quote } from "../text.ts";
import { compareFactorsOf, type FactorsDirectory, type FactorsReport } from "../vllm_factors.ts";
import { bounded } from "./bounded.ts";
import { type CommandContext, printLines } from "./context.ts";
import { settle, type Settled, settleStore } from "./settle.ts";

/** So many of each are shown to people; `--json` has all caches. */
const shownCaches = 5;
const shownFacts = 12;

export function explainCommand(context: CommandContext): Promise<number> {
  const known: { [field: string]: JsonValue } = {};
  return bounded(context, {
    operation: "explain",
    deadline: "load",
    known: () => known,
    act: async ({ elapsedMs }) => {
      const findings = await findOut(context, known);
      const explanation = explain(findings);
      if (!context.flags.json) printLines(context.system, render(findings, explanation).trimEnd());
      return { ...known, ...reportOf(findings, explanation, elapsedMs()) };
    },
  });
}

/** Settings, facts, directories, fence, and then a look at both sides: nothing is written. */
async function findOut(
  context: CommandContext,
  known: { [field: string]: JsonValue },
): Promise<Findings> {
  const { system } = context;
  const settled = await settle(context);
  const { settings, log } = settled;
  const { environment, key, notices } = await identify(system, settings);
  for (const text of notices) log.warning(text);
  known["key"] = key;
  known["environment"] = { ...environment };
  const places = await confinePlaces(context, settled);
  known["fence"] = places.fence;
  const { config, embeddedStore } = settings;
  const pod: ThisPod = { environment, key, namespace: config.namespace, pinned: config.pinnedKey !== null };
  const store = await openPodStore(system, places.storeDir, places.signatures);
  return {
    pod,
    storeDir: places.storeDir,
    embedded: embeddedStore,
    caches: store && compareCaches(pod, await readCaches(store)),
    vllm: await compareVllm(system, places, { store, key }),
  };
}

interface Places {
  readonly storeDir: string;
  readonly signatures: Signatures;
  readonly vllm: CacheRoot | undefined;
  /** What loads restore to, by whose names they keep their records: with --vllm, and as run does. */
  readonly loadedRoots: readonly (readonly CacheRoot[])[];
  readonly stateDir: string | undefined;
  readonly fence: Fence;
}

/** Behind the fence from here on. */
async function confinePlaces(context: CommandContext, settled: Settled): Promise<Places> {
  const { system } = context;
  const { settings } = settled;
  const roots = await confineRoots(system, settings, "vllm");
  const all = await confineRoots(system, settings, "all");
  const storeDir = await settleStore(context, settled);
  refuseStoreInRoots(roots, storeDir);
  const signatures = await readSignatures(system, settings.config, { storeDir, roots: all });
  const state = (await stateDir(system, settings, { roots, create: false })).dir;
  const dirs = [...roots.map(({ dir }) => dir), storeDir, state];
  const fence = await putUpFence(system, dirs.filter((dir) => dir !== undefined));
  return { storeDir, signatures, vllm: roots[0], loadedRoots: [roots, all], stateDir: state, fence };
}

async function compareVllm(
  system: System,
  { vllm, loadedRoots, stateDir }: Places,
  { store, key }: { store: Store | undefined; key: CacheKey },
): Promise<FactorsReport[]> {
  if (!vllm) return [];
  const restored = new Map<string, RestoredFile>();
  if (store && stateDir !== undefined) {
    const state = new PodState(system, stateDir);
    for (const roots of loadedRoots) {
      const files = await state.restored({ storeId: store.id, key, roots });
      for (const [path, file] of files) restored.set(path, file);
    }
  }
  return await compareFactorsOf(system.fs, vllm, restored);
}

async function readCaches(store: Store): Promise<StoredCache[]> {
  const caches: StoredCache[] = [];
  for (const key of await store.keys()) caches.push(await readCache(store, key));
  return caches;
}

async function readCache(store: Store, key: CacheKey): Promise<StoredCache> {
  const unknown = { key, environment: null, generation: null, createdAt: null, roots: [] };
  try {
    const { generation, next, passedOver = [] } = await findHead(store, key);
    const [newest] = passedOver;
    if (newest && !generation) {
      const problem = `it has no trusted generation; generation ${newest.n}: ${newest.problem}`;
      return { ...unknown, state: "damaged", problem };
    }
    if (!generation) {
      return next === 1
        ? { ...unknown, state: "empty", problem: "a first save is under way, or was broken off" }
        : { ...unknown, state: "damaged", problem: "it has no valid generation" };
    }
    const { manifest } = generation;
    const its = {
      key,
      environment: manifest.environment,
      generation: manifest.n,
      createdAt: manifest.created_at,
      roots: Object.keys(manifest.roots).sort(),
    };
    if (manifest.layers.length === 0) {
      return { ...its, state: "evicted", problem: "it was evicted by a prune" };
    }
    const problem = await damageOf(store, key, manifest);
    return { ...its, state: problem === null ? "loadable" : "damaged", problem };
  } catch (error) {
    return { ...unknown, state: "unreadable", problem: escapeUnseen(messageOf(error)) };
  }
}

/** What can be told of a cache's layers without reading them. */
async function damageOf(store: Store, key: CacheKey, { layers }: Manifest): Promise<string | null> {
  const stored = new Map((await store.layers(key)).map(({ name, bytes }) => [name, bytes]));
  const marked = new Set(
    (await readMarks(store, key)).flatMap((mark) => (mark.kind === "bad_layer" ? [mark.layer] : [])),
  );
  for (const { name, bytes } of layers) {
    const size = stored.get(name);
    if (size === undefined) return `its layer ${name} is not there`;
    if (size !== bytes) return `its layer ${name} has ${size} bytes instead of ${bytes}`;
    if (marked.has(name)) return `another pod found its layer ${name} damaged`;
  }
  return null;
}

function reportOf(findings: Findings, { cause, message, advice }: Explanation, elapsedMs: number): Report {
  const { pod, caches = [], vllm } = findings;
  return {
    operation: "explain",
    status: "SUCCESS",
    namespace: pod.namespace,
    cause,
    caches: caches.map((cache) => ({
      key: cache.key,
      state: cache.state,
      generation: cache.generation,
      created_at: cache.createdAt,
      roots: [...cache.roots],
      problem: cache.problem,
      differs: cache.differs && cache.differs.map(({ fact, here, there }) => ({
        fact,
        ...here === undefined ? {} : { here },
        ...there === undefined ? {} : { there },
      })),
    })),
    vllm: vllm.map(({ place, newest, others, more }) => ({
      place,
      newest: directoryJson(newest),
      others: others.map((other) => ({
        ...directoryJson(other),
        differs: other.differences.map(({ path, here, there }) => ({ factor: path, here, there })),
        more: other.more,
      })),
      more,
    })),
    advice: [...advice],
    elapsed_ms: Math.round(elapsedMs),
    message,
  };
}

function directoryJson({ directory, madeAt, restored, problem }: FactorsDirectory) {
  return { directory, made_at: madeAt, restored, problem };
}

/** The same for people. */
function render(findings: Findings, { advice }: Explanation): string {
  const { pod, storeDir, caches = [], vllm } = findings;
  const others = caches.length - shownCaches;
  const lines = [
    `this pod: ${describeEnvironment(pod.environment)}`,
    `  key ${pod.key}, ${pod.pinned ? "as B10_CACHE_KEY says" : `namespace ${quote(pod.namespace)}`}`,
    `store ${quote(storeDir)}: ${countOf(caches.length, "cache")}${
      caches.length > 1 ? ", the nearest first" : ""
    }`,
    ...caches.slice(0, shownCaches).flatMap((cache) => renderCache(pod, cache)),
    ...others > 0 ? [`  and ${others} more: list shows them`] : [],
    ...vllm.flatMap(renderFactors),
    "what to do:",
    ...advice.map((text) => `  ${text}`),
  ];
  return `${lines.join("\n")}\n`;
}

function renderCache(pod: ThisPod, cache: ComparedCache): string[] {
  const { key, state, generation, createdAt, roots, problem, differs } = cache;
  const about = generation === null ? "" : `: generation ${generation}, of ${createdAt}, ${roots.join(", ")}`;
  const facts = differs ?? [];
  return [
    `  ${key}${about}${state === "loadable" ? "" : `; ${state}: ${problem}`}`,
    ...differs && differs.length === 0
      ? [`    ${key === pod.key ? "exactly this pod's key" : "nothing differs"}`]
      : [],
    ...facts.slice(0, shownFacts).map((fact) => `    ${describeDifference(fact)}`),
    ...facts.length > shownFacts ? [`    and ${facts.length - shownFacts} more`] : [],
  ];
}

function renderFactors({ place, newest, others, more }: FactorsReport): string[] {
  return [
    `vLLM, ${quote(place)}: ${describeDirectory(newest, "newer")}`,
    ...others.flatMap((other) => [
      `  beside ${describeDirectory(other, "older")}`,
      ...other.differences.map(({ path, here, there }) => `    ${path}: ${here} here, ${there} there`),
      ...other.more > 0 ? [`    and ${other.more} more`] : [],
    ]),
    ...more > 0 ? [`  and ${more} older`] : [],
  ];
}

function describeDirectory(
  { directory, madeAt, restored, problem }: FactorsDirectory,
  age: "newer" | "older",
): string {
  const origin = restored === null ? age : restored ? "restored" : "made on this pod";
  return `${quote(directory)}, ${origin}, of ${madeAt}${
    problem === null ? "" : `; not compared: ${problem}`
  }`;
}
