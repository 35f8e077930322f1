/** I6: leftovers are bounded, and go away once nobody alive can need them. */
import assert from "node:assert/strict";
import { key } from "../pods.ts";
import { generationFiles, isStaged, layerAt, manifestOf, storeDir } from "./layout.ts";
import { dayMs, type Entries, type Site } from "./site.ts";
import { type Files, plant, textOf, type Tree, treeOf } from "./trees.ts";

/** Longer than anything that is unfinished may be of use. */
const longMs = 2 * dayMs;

/** So many prunes mark, condemn, remove, and forget the marks. */
const prunesToTheEnd = 4;

/** What a pod saves after all: something new, so that it packs. */
const later: Files = { "later/file": "later" };

/**
 * Time passes, and a save, a load and prunes by fresh processes clear away everything that is no part of the cache.
 * @param target a directory that is restored to, with a file that is to be missing once more.
 * @returns what was added to the cache.
 */
export async function settle(site: Site, target?: { dir: string; missing: string }): Promise<Tree> {
  const { files } = site.disk;
  site.disk.nowMs += longMs;
  const saver = site.aside();
  await plant(files, saver, later);
  await site.save(site.process(), saver);
  if (target) {
    await files.unlink(`${target.dir}/${target.missing}`);
    await site.load(site.process(), target.dir, { hasState: true });
  }
  for (let run = 0; run < prunesToTheEnd; run++) {
    await site.prune(site.process(), { keepLast: 2 });
    site.disk.nowMs += longMs;
  }
  assertNothingLeft(site.look());
  return treeOf(later);
}

/** What may lie there for ever, but for layers. */
const lasting = [
  /^\/store(\/native)?$/,
  /^\/store\/native\/format\.json(\/content)?$/,
  /^\/store\/native\/leases(\/incoming)?$/,
  /^\/store\/native\/[^/.]+(\/(generations|layers|incoming|marks|used))?$/,
  /^\/store\/native\/[^/]+\/generations\/\d{10}\.json(\/content)?$/,
  /^\/state(\/restored-[0-9a-f]+\.json)?$/,
  /^\/(saver|other|target)(\/|$)/,
];

/** Every layer is named, no name is condemned, no mark waits, and nothing is unfinished. */
function assertNothingLeft(entries: Entries): void {
  const named = new Set<string>();
  let condemned: readonly string[] = [];
  for (const file of generationFiles(entries).values()) {
    const manifest = manifestOf(file);
    for (const { name } of manifest.layers) named.add(`${storeDir}/native/${file.ofKey}/layers/${name}`);
    if (file.ofKey === key) condemned = manifest.condemned;
  }
  assert.deepEqual(condemned, [], "I6: names stay condemned");
  const left = [...entries.keys()].filter((path) => {
    if (isStaged(path)) return true;
    return layerAt(path) ? !named.has(path) : !lasting.some((pattern) => pattern.test(path));
  });
  assert.deepEqual(left, [], `I6: left are ${left.join(", ")}`);
}

/**
 * What sweeping and pruning go by: of two states that differ in no more than random numbers one is as good as the
 * other. Layers are told apart by the generations and marks that name them.
 */
export function kindsOfLeftovers(entries: Entries): string {
  const layerNames = /[0-9a-f]{64}-[0-9a-f]{32}/g;
  const naming: string[] = [];
  const layers: string[] = [];
  for (const [path, { kind, content }] of entries) {
    const names = /\/(generations|marks)\//.test(path) ? textOf(content).match(layerNames) ?? [] : [];
    (layerAt(path) ? layers : naming).push(`${path} ${kind} ${names.join()}`);
  }
  const numbers = new Map<string, number>();
  const numbered = [...naming, ...layers].map((line) =>
    line.replace(layerNames, (name) => {
      const number = numbers.get(name) ?? numbers.size;
      numbers.set(name, number);
      return `layer ${number}`;
    }).replace(/[0-9a-f]{32}/g, "nonce")
  );
  return numbered.sort().join("\n");
}
