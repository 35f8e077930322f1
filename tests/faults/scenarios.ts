/** What the faults are tried on: each a command, and what it finds. */
import { readGeneration } from "../../lib/history.ts";
import { parseKey } from "../../lib/key.ts";
import { removeTree } from "../../lib/remove_tree.ts";
import { key } from "../pods.ts";
import { keyDir, stateDir } from "./layout.ts";
import { dayMs, type PodOptions, type Process, type Ran, type Site } from "./site.ts";
import { type Files, plant } from "./trees.ts";

export interface Scenario {
  readonly name: string;
  /** Makes what the command finds. */
  readonly arrange: (site: Site) => Promise<void>;
  /** The command, as one process. */
  readonly run: (site: Site, process: Process) => Promise<Ran>;
  /** What it comes to where nothing goes wrong. */
  readonly outcome: string;
  /** The newest generation after that. */
  readonly newest: number;
  /** What a fresh pod gets before; undefined where there is no cache. */
  readonly before: Files | undefined;
  /** What a fresh pod gets afterwards. */
  readonly after: Files | undefined;
  /** The directory that is restored to, and what is in it at first. */
  readonly target?: { readonly dir: string; readonly before: Files };
  /** The directory that is saved: a save changes nothing on the pod. */
  readonly saver?: string;
  /** Paths whose failure is no more than a reason not to save: what was restored counts as this pod's own. */
  readonly hints?: readonly string[];
  /** Generations go, those that nobody needs. */
  readonly removes?: true;
}

export const first: Files = { "a/x": "x", "a/lib.so": "library" };
export const second: Files = { "k/one.cubin": "cubin", "k/__grp__one.json": "index", "model": "model" };
export const third: Files = { "b/third": "third" };
export const added: Files = { "a/new": "new", "c/d/new": "new too" };
export const whole: Files = { ...first, ...second };

/** Of another saver, that is under way. */
export const uploadUnderWay = `${keyDir}/incoming/${"d".repeat(32)}.tar.zst`;

/** In a layer of another saver, which has not committed it yet. */
export const uncommitted = "not committed yet";

/** A history of these, each saved by another pod. */
export async function history(site: Site, trees: readonly Files[], options: PodOptions = {}): Promise<void> {
  for (const files of trees) {
    site.past.push(site.disk.remember());
    const dir = site.aside();
    await plant(site.disk.files, dir, files);
    await site.save(site.process(), dir, options);
  }
}

/** Others are at work: one has half of an upload, another has a layer that it has not committed. */
export async function othersAtWork(site: Site): Promise<void> {
  site.past.push(site.disk.remember());
  await write(site, uploadUnderWay, "half of an upl");
  await publishLayer(site, uncommitted);
}

export async function publishLayer(site: Site, text: string): Promise<void> {
  const store = await site.createStore(site.process());
  await using upload = await store.beginLayer(key);
  await upload.write(new TextEncoder().encode(text));
  await upload.publish();
}

async function write({ disk }: Site, path: string, content: string | Uint8Array): Promise<void> {
  const file = await disk.files.open(path, "wx");
  await file.append(typeof content === "string" ? new TextEncoder().encode(content) : content);
  await file.close();
}

/** The newest layer of generation `n` is damaged, and a reader noticed. */
export async function damage(site: Site, n: number): Promise<void> {
  const layers = (await layersOf(site, n)).map((name) => `${keyDir}/layers/${name}`);
  const path = layers.at(-1) ?? "";
  const content = site.look().get(path)?.content.slice() ?? new Uint8Array();
  // In the middle of the only frame.
  content[20] = (content[20] ?? 0) ^ 1;
  await site.disk.files.unlink(path);
  await write(site, path, content);
  await site.loaded();
}

async function layersOf(site: Site, n: number): Promise<string[]> {
  const store = await site.createStore(site.process());
  const read = await readGeneration(store, key, n);
  return read.kind === "valid" ? read.generation.manifest.layers.map(({ name }) => name) : [];
}

const savesNew: Pick<Scenario, "saver" | "run"> = {
  saver: "/saver",
  run: (site, process) => site.save(process, "/saver"),
};

export const compacting = { config: { compactAfterLayers: 2 } };

const restoresAll: Pick<Scenario, "run" | "before" | "after"> = {
  run: (site, process) => site.load(process, "/target", { hasState: true }),
  before: whole,
  after: whole,
};

const mine: Files = { "a/mine": "mine", "k/one.cubin": "my cubin" };

export const loads: readonly Scenario[] = [
  {
    name: "load, into an empty directory",
    arrange: async (site) => {
      await history(site, [first, second]);
      await othersAtWork(site);
      await plant(site.disk.files, "/target", {});
    },
    ...restoresAll,
    outcome: "SUCCESS, generation 2",
    newest: 2,
    target: { dir: "/target", before: {} },
  },
  {
    name: "load, into a directory with files",
    arrange: async (site) => {
      await history(site, [first, second]);
      await othersAtWork(site);
      await plant(site.disk.files, "/target", mine);
    },
    ...restoresAll,
    outcome: "SUCCESS, generation 2",
    newest: 2,
    target: { dir: "/target", before: mine },
  },
  {
    name: "load, past a damaged generation",
    arrange: async (site) => {
      await history(site, [first, second, third]);
      await damage(site, 3);
      await othersAtWork(site);
      await removeTree(site.disk.files, `${keyDir}/marks`);
      await plant(site.disk.files, "/target", {});
    },
    ...restoresAll,
    outcome: "SUCCESS, generation 2",
    newest: 3,
    target: { dir: "/target", before: {} },
  },
];

export const saves: readonly Scenario[] = [
  {
    name: "save, the first one",
    arrange: (site) => plant(site.disk.files, "/saver", whole),
    ...savesNew,
    outcome: "SUCCESS, generation 1",
    newest: 1,
    before: undefined,
    after: whole,
  },
  {
    name: "save, adding to a history",
    arrange: async (site) => {
      await history(site, [first, second]);
      await othersAtWork(site);
      await plant(site.disk.files, "/saver", { ...first, ...added });
    },
    ...savesNew,
    outcome: "SUCCESS, generation 3",
    newest: 3,
    before: whole,
    after: { ...whole, ...added },
  },
  {
    name: "save, healing a damaged layer",
    arrange: async (site) => {
      await history(site, [first, second, third]);
      await damage(site, 2);
      await othersAtWork(site);
      await plant(site.disk.files, "/saver", { ...second, ...added });
    },
    ...savesNew,
    outcome: "SUCCESS, generation 4",
    newest: 4,
    before: first,
    after: { ...whole, ...third, ...added },
  },
  {
    name: "save, healing a damaged compacted layer",
    arrange: async (site) => {
      await history(site, [first, second, third], compacting);
      await damage(site, 4);
      await othersAtWork(site);
      await plant(site.disk.files, "/saver", added);
    },
    ...savesNew,
    outcome: "SUCCESS, generation 5",
    newest: 5,
    before: { ...whole, ...third },
    after: { ...whole, ...third, ...added },
  },
  {
    name: "save, replacing what was restored and rewritten",
    arrange: async (site) => {
      await history(site, [whole]);
      await othersAtWork(site);
      await plant(site.disk.files, "/saver", {});
      await site.load(site.process(), "/saver", { hasState: true });
      await plant(site.disk.files, "/saver", { "model": "rewritten" });
    },
    saver: "/saver",
    run: (site, process) => site.save(process, "/saver", { hasState: true }),
    hints: [stateDir, "/saver/model"],
    outcome: "SUCCESS, generation 2",
    newest: 2,
    before: whole,
    after: { ...whole, "model": "rewritten" },
  },
  {
    name: "save, ending in a compaction",
    arrange: async (site) => {
      await history(site, [first, second]);
      await othersAtWork(site);
      await plant(site.disk.files, "/saver", { ...third, ...added });
    },
    saver: "/saver",
    run: (site, process) => site.save(process, "/saver", compacting),
    outcome: "SUCCESS, generation 3",
    newest: 4,
    before: whole,
    after: { ...whole, ...third, ...added },
  },
];

/** A history that nobody needs all of: three layers were compacted, a fourth came after, one was never committed. */
export async function pruneable(site: Site): Promise<void> {
  await history(site, [first, second, third], compacting);
  await history(site, [added]);
  await publishLayer(site, "never committed");
}

const prunesKey: Pick<Scenario, "run" | "before" | "after" | "removes"> = {
  run: (site, process) => site.prune(process, { keepLast: 2 }),
  before: { ...whole, ...third, ...added },
  after: { ...whole, ...third, ...added },
  removes: true,
};

const otherKey = parseKey("other-key", "key");

export const prunes: readonly Scenario[] = [
  {
    name: "prune, run 1",
    arrange: async (site) => {
      await pruneable(site);
      site.disk.nowMs += 3 * dayMs;
      await othersAtWork(site);
    },
    ...prunesKey,
    outcome: `${key}: generations 3, layers 0`,
    newest: 5,
  },
  {
    name: "prune, run 2",
    arrange: async (site) => {
      await pruneable(site);
      await site.prune(site.process(), { keepLast: 2 });
      site.disk.nowMs += 2 * dayMs;
      await othersAtWork(site);
    },
    ...prunesKey,
    outcome: `${key}: generations 3, layers 4`,
    newest: 7,
  },
  {
    name: "prune, with an eviction",
    arrange: async (site) => {
      await history(site, [first, second]);
      site.disk.nowMs += 3 * dayMs;
      await othersAtWork(site);
      await history(site, [third], { ofKey: otherKey });
    },
    run: (site, process) => site.prune(process, { maxAgeMs: dayMs }),
    outcome: `${otherKey}: generations 0, layers 0; ${key}: evicted, generations 1, layers 0`,
    newest: 3,
    before: whole,
    after: undefined,
    removes: true,
  },
];
