/** Runs a hostile cache through the real load and import, and checks all that must hold afterwards. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { CacheError } from "../../lib/errors.ts";
import { importArchive, importBundle } from "../../lib/import.ts";
import { load } from "../../lib/load.ts";
import { loadForeign } from "../../lib/load_foreign.ts";
import type { Store } from "../../lib/store.ts";
import {
  describeTree,
  inDirectoryAtOnce,
  key,
  makePod,
  newWorld,
  type Pod,
  readFiles,
  rootName,
  storeInMemory,
  withDirectory,
  writeFiles,
} from "../pods.ts";
import { bundleOf, type HostileCache, plant } from "./native_writer.ts";

/** The ways by which bytes from elsewhere reach a pod. */
export const ways = [
  "load of a layer",
  "import of a bundle",
  "load of an archive",
  "import of an archive",
] as const;
export type Way = typeof ways[number];

export function isNative(way: Way): boolean {
  return way === "load of a layer" || way === "import of a bundle";
}

/** What is attacked, and what must stay as it is. */
export interface Scene {
  readonly base: string;
  readonly pod: Pod;
  readonly store: Store;
  readonly storeDir: string;
}

const archive = "cache_436c59e667a63097.latest.tar.gz";

export interface Outcome {
  /** Its status, or its error. */
  readonly ended: string | CacheError;
  /** What lies in the target, or in the store's newest generation, but for what was there before. */
  readonly files: Readonly<Record<string, string>>;
  readonly modes: Readonly<Record<string, number>>;
  readonly notices: readonly string[];
}

const own = { "own/file": "mine" };

/**
 * @param bytes of an archive; a cache for the native ways.
 * @param prepare changes the scene before the attack.
 */
export async function attack(
  way: Way,
  hostile: HostileCache | Uint8Array,
  prepare: (scene: Scene) => void | Promise<void> = () => {},
): Promise<Outcome> {
  let outcome: Outcome | undefined;
  await withDirectory(async (base) => {
    const world = newWorld(inDirectoryAtOnce.files);
    const { store } = await inDirectoryAtOnce.make(world, base);
    const storeDir = path.join(base, "store");
    const pod = makePod(world, path.join(base, "target"));
    writeFiles(pod.dir, own);
    // Beside the target, in it, and behind a prefix twin of it: nothing of it may move.
    writeFiles(base, { canary: "alive", "target-evil/canary": "alive", "work/canary": "alive" });
    const scene: Scene = { base, pod, store, storeDir };
    const file = path.join(base, "hostile file");
    if (hostile instanceof Uint8Array) {
      fs.writeFileSync(file, hostile);
      fs.writeFileSync(path.join(storeDir, archive), hostile);
    } else {
      plant(hostile, scene);
      fs.writeFileSync(file, bundleOf(hostile) ?? "");
    }
    await prepare(scene);
    const outside = outsideOf(base);
    const target = describeTree(path.join(base, "target"));
    const imported = storeInMemory(world).store;
    const ended = await act(way, { scene, imported, file });
    const files = readFiles(pod.dir);
    for (const name of Object.keys(own)) delete files[name];
    assert.deepEqual(outsideOf(base), outside, "what lies outside the target is untouched");
    const staged = [...fs.readdirSync(pod.dir), ...fs.readdirSync(path.join(base, "work"))];
    assert.deepEqual(staged.filter((name) => name.startsWith(".b10-")), [], "the staging is gone");
    const now = describeTree(path.join(base, "target"));
    for (const [name, was] of Object.entries(target)) assert.equal(now[name], was, `${name} is as it was`);
    if (typeof ended !== "string") {
      assert.deepEqual(now, target, "the target is as it was");
      assert.deepEqual(await imported.generationNumbers(key), [], "nothing was committed");
    }
    for (const text of [...pod.notices, typeof ended === "string" ? ended : ended.message]) {
      assert.doesNotMatch(text, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, "nothing unseen is ever shown raw");
      assert.ok(text.length < 4000, `a message is for people: it has ${text.length} characters`);
    }
    const modes = Object.fromEntries(
      Object.keys(files).map((name) => [name, fs.lstatSync(path.join(pod.dir, name)).mode]),
    );
    outcome = { ended, files, modes, notices: pod.notices };
  });
  return outcome ?? assert.fail("the attack did not run");
}

/** All but the target, the share (marks are left there) and the work directory's own times. */
function outsideOf(base: string): Record<string, string> {
  const entries = Object.entries(describeTree(base));
  return Object.fromEntries(entries.filter(([name]) => !/^(target|store)(\/|$)/.test(name)));
}

async function act(
  way: Way,
  { scene: { base, pod, store, storeDir }, imported, file }: { scene: Scene; imported: Store; file: string },
): Promise<string | CacheError> {
  const operation = { ...pod, openStore: () => Promise.resolve(imported), workDir: path.join(base, "work") };
  const named = { path: file, name: path.basename(file) };
  try {
    switch (way) {
      case "load of a layer":
        return (await load(pod, store)).status;
      case "import of a bundle":
        return (await importBundle(operation, named, () => key)).outcome.status;
      case "load of an archive":
        return (await loadForeign(pod, { storeDir, name: archive })).status;
      case "import of an archive":
        return (await importArchive(operation, named, { key, root: { name: rootName, dir: pod.dir } }))
          .status;
    }
    return way satisfies never;
  } catch (error) {
    // Anything else than the program's own error is a crash.
    if (error instanceof CacheError && error.code !== "internal") return error;
    throw error;
  }
}

/** As `attack`, which must end in an ERROR whose message says this. */
export async function refused(
  way: Way,
  hostile: HostileCache | Uint8Array,
  problem: RegExp,
  prepare?: (scene: Scene) => void | Promise<void>,
): Promise<void> {
  const { ended } = await attack(way, hostile, prepare);
  assert.ok(ended instanceof CacheError, `it ended with ${String(ended)}`);
  assert.match(ended.message, problem);
  assert.match(ended.code, /^bad_(archive|layer|index|manifest)$|^local_io$/);
}
