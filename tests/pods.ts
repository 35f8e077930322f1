/** Pods that share a store, on a real disk and without waiting: for the tests of what becomes of files. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { type IndexedFile, readIndex, unpackLayer } from "../lib/archive.ts";
import { type Config, readSettings } from "../lib/config.ts";
import type { Environment } from "../lib/environment.ts";
import { findHead } from "../lib/history.ts";
import { type CacheKey, parseKey } from "../lib/key.ts";
import { openLayers } from "../lib/layers.ts";
import type { Layer } from "../lib/manifest.ts";
import type { Operation } from "../lib/operation.ts";
import type { Store } from "../lib/store.ts";
import { openOrCreateStore } from "../lib/store/directory.ts";
import { memoryStore } from "../lib/store/memory.ts";
import type { PodState } from "../lib/pod_state.ts";
import type { Clock, FileSystem, Host, OpenFile, Random } from "../lib/system.ts";
import { realSystem } from "../lib/system/real.ts";
import { fakeSystem, only } from "./fake_system.ts";
import { syncFiles } from "./sync_files.ts";

const { fs: diskFiles, runtime } = realSystem();

export { runtime };

/** What is open at the moment. A file whose closing a test made fail, or kept from happening, is in it for ever. */
const openFiles = new Set<OpenFile>();

/** The real file system. */
export const realFiles: FileSystem = {
  ...diskFiles,
  open: async (path, mode) => {
    const file = await diskFiles.open(path, mode);
    openFiles.add(file);
    const close = () => {
      openFiles.delete(file);
      return file.close();
    };
    return { ...file, close };
  },
};

/** Long before anything that a test writes: no file of this disk is newer than it, and none has to settle. */
const startMs = Date.UTC(2020, 0, 1);

/** A clock whose sleepers wake at once, when as much time has passed. For work that waits for a disk as well. */
export class QuickClock implements Clock {
  /** Called whenever somebody sleeps. */
  onSleep: () => void = () => {};
  #elapsedMs = 0;
  #looks = 0;

  nowMs(): number {
    return startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    if (++this.#looks > 10_000) throw new Error("Cannot look at the clock again as nobody lets time pass");
    return this.#elapsedMs;
  }

  // deno-lint-ignore require-await -- what is thrown here rejects.
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#elapsedMs += ms;
    this.onSleep();
  }

  /** What goes on beside the work has no part in it: time passes for those who wait. */
  every(): void {}
}

/** Names that are never used twice, the same in every run. Sources that begin far apart share none. */
export function countingRandom(from = 0): Random {
  let count = from;
  return {
    hex: (bytes) => (++count).toString(16).padStart(bytes * 2, "0"),
    fraction: () => (++count % 10) / 10,
  };
}

/** What the pods of one test have in common. */
export interface World {
  readonly clock: QuickClock;
  readonly random: Random;
  readonly fs: FileSystem;
}

export function newWorld(fs: FileSystem = realFiles): World {
  return { clock: new QuickClock(), random: countingRandom(), fs };
}

/**
 * Where the tests' directories lie: in memory, where there is such a place, as thousands of files are made and
 * removed. TMPDIR names another file system to run on.
 */
const scratchDir = process.env["TMPDIR"] ?? (isWritable("/dev/shm") ? "/dev/shm" : os.tmpdir());

function isWritable(dir: string): boolean {
  try {
    fs.accessSync(dir, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs a test in a directory of its own. */
export async function withDirectory(act: (dir: string) => Promise<void>): Promise<void> {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(scratchDir, "b10-pods-")));
  try {
    await act(dir);
  } finally {
    // Bun takes it for an error of whatever runs when the garbage collector finds an open file.
    for (const file of openFiles) await file.close();
    openFiles.clear();
    fs.rmSync(dir, { recursive: true });
  }
}

export interface FileFacts {
  readonly mode?: number;
  readonly mtimeNs?: bigint;
}

/** Whole milliseconds, so that every runtime can keep it. */
export const oldMtimeNs = BigInt(Date.UTC(2019, 5, 1, 12, 30, 0, 250)) * 1_000_000n;

/** Writes a new file, old enough not to be in the making, with the directories above it. */
export function writeFile(file: string, content: string | Uint8Array, facts: FileFacts = {}): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.rmSync(file, { force: true });
  realFiles.createFileSync(file, Buffer.from(content), {
    mode: facts.mode ?? 0o644,
    mtimeNs: facts.mtimeNs ?? oldMtimeNs,
  });
}

/** Makes the directory `dir` with these files, by their paths below it. */
export function writeFiles(dir: string, files: Readonly<Record<string, string>>): void {
  fs.mkdirSync(dir, { recursive: true });
  for (const [file, content] of Object.entries(files)) writeFile(path.join(dir, file), content);
}

/** The contents of the files below `dir`, by path; a symlink as "-> target". */
export function readFiles(dir: string): Record<string, string> {
  return Object.fromEntries(
    entriesBelow(dir).filter(([, stat]) => !stat.isDirectory()).map(([file, stat]) => [
      file,
      stat.isSymbolicLink()
        ? `-> ${fs.readlinkSync(path.join(dir, file))}`
        : fs.readFileSync(path.join(dir, file), "utf8"),
    ]),
  );
}

/**
 * All that can be told about what lies below `dir`, by path: whatever was touched differs. A directory's times are
 * left out, as a staging directory that comes and goes moves them.
 */
export function describeTree(dir: string): Record<string, string> {
  return Object.fromEntries(
    entriesBelow(dir).map(([file, stat]) => {
      const place = path.join(dir, file);
      const common = `${(stat.mode & 0o7777n).toString(8)} inode ${stat.ino}`;
      if (stat.isDirectory()) return [file, `directory ${common}`];
      const times = `mtime ${stat.mtimeNs}, ${stat.nlink} link`;
      if (stat.isSymbolicLink()) return [file, `symlink ${common} ${times} -> ${fs.readlinkSync(place)}`];
      return [file, `file ${common} ${times}: ${fs.readFileSync(place, "base64")}`];
    }),
  );
}

function entriesBelow(dir: string): [file: string, stat: fs.BigIntStats][] {
  const found: [string, fs.BigIntStats][] = [];
  const walk = (below: string) => {
    for (const name of fs.readdirSync(path.join(dir, below)).sort()) {
      const file = below === "" ? name : `${below}/${name}`;
      const stat = fs.lstatSync(path.join(dir, file), { bigint: true });
      found.push([file, stat]);
      if (stat.isDirectory()) walk(file);
    }
  };
  walk("");
  return found;
}

export const environment: Environment = {
  accelerator: "cuda",
  devices: ["NVIDIA H100 80GB HBM3"],
  cuda: "13.0",
  rocm: null,
  torch: "2.11.0",
  triton: "3.6.0",
  vllm: null,
  python: "3.12",
  machine: "x86_64",
  cpu_isa: null,
};

export const key: CacheKey = parseKey("test-key", "key");

export const rootName = "inductor";

export interface PodOptions {
  readonly fs?: FileSystem;
  readonly config?: Partial<Config>;
  readonly signal?: AbortSignal;
  readonly progress?: Operation["progress"];
  readonly state?: PodState;
  readonly storeDir?: string;
}

export interface Pod extends Operation {
  readonly dir: string;
  /** What the user was told. */
  readonly notices: readonly string[];
  /** What the user was told that goes on. */
  readonly informed: readonly string[];
}

/** A pod whose one root is `dir`, which is made. */
export function makePod(world: PodWorld, dir: string, options: PodOptions = {}): Pod {
  fs.mkdirSync(dir, { recursive: true });
  return podAt(world, dir, options);
}

export type PodWorld = Omit<World, "clock"> & { readonly clock: Clock };

/** A pod whose one root is `dir`, wherever that is. */
export function podAt(world: PodWorld, dir: string, options: PodOptions = {}): Pod {
  const pod = { homeDir: "/root", torchCacheDir: dir, shareMounted: true };
  const notices: string[] = [];
  const informed: string[] = [];
  return {
    system: fakeSystem({
      fs: options.fs ?? world.fs,
      clock: world.clock,
      random: world.random,
      runtime,
      host: only<Host>("host", { pid: 4711, name: "pod", platform: "linux" }),
    }),
    config: { ...readSettings({ flags: {}, env: {}, pod }).config, ...options.config },
    environment,
    key,
    roots: [{ name: rootName, dir }],
    storeDir: options.storeDir ?? "/cache/model/compile_cache",
    signal: options.signal ?? new AbortController().signal,
    state: options.state,
    notice: (text) => notices.push(text),
    inform: (text) => informed.push(text),
    progress: options.progress ?? (() => {}),
    dir,
    notices,
    informed,
  };
}

/** A store under test, and a look at all that is in it: two looks are equal where nothing was written. */
export interface TestStore {
  readonly store: Store;
  look(): Promise<unknown>;
}

export interface StoreKind {
  readonly name: string;
  /** How the pods that use it, and the store itself, reach the disk. */
  readonly files: FileSystem;
  /** @param base a directory in which the store may be made. */
  readonly make: (world: World, base: string) => Promise<TestStore>;
}

export const inMemory: StoreKind = {
  name: "in memory",
  files: syncFiles,
  make: (world) => Promise.resolve(storeInMemory(world)),
};

export const inDirectory: StoreKind = { name: "in a directory", files: realFiles, make: storeInDirectory };

/** For tests that make the same calls again and again. */
export const inDirectoryAtOnce: StoreKind = { ...inDirectory, files: syncFiles };

export const storeKinds: readonly StoreKind[] = [inMemory, inDirectory];

async function storeInDirectory(world: World, base: string): Promise<TestStore> {
  const dir = path.join(base, "store");
  fs.mkdirSync(dir);
  return { store: await openOrCreateStore(world, dir), look: () => Promise.resolve(describeTree(dir)) };
}

/** The store in memory, with a record of every call that writes. */
export function storeInMemory(world: World): TestStore {
  const writes: string[] = [];
  const writing = new Set(["putGeneration", "beginLayer", "write", "publish", "putMark", "take"]);
  const store = intercept(memoryStore(world), ({ name }) => {
    if (writing.has(name)) writes.push(name);
  });
  return { store, look: () => Promise.resolve([...writes]) };
}

/** The paths of the newest valid generation and their contents, read out of its layers. */
export async function readStore(store: Store): Promise<Record<string, string>> {
  const { generation } = await findHead(store, key);
  const contents: Record<string, string> = {};
  for (const layer of generation?.manifest.layers ?? []) {
    Object.assign(contents, await readLayer(store, layer));
  }
  return contents;
}

/** The files of one layer, every byte of them checked. */
export async function readLayer(store: Store, layer: Layer): Promise<Record<string, string>> {
  const contents: Record<string, string> = {};
  await using file = await store.openLayer(key, layer.name);
  if (!file) throw new Error(`There is no layer ${layer.name}`);
  const index = await readIndex(file, layer);
  const files = index.files.map((entry: IndexedFile) => ({ ...entry, layer: layer.name }));
  await unpackLayer({ file, contents: { layer, index } }, files, (entry, content) => {
    contents[entry.path] = Buffer.from(content).toString();
  });
  return contents;
}

/** How often each path occurs in the layers of the newest generation. */
export async function countPaths(store: Store): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const { generation } = await findHead(store, key);
  if (!generation) return counts;
  await using layers = await openLayers(store, key, generation.manifest);
  for (const { index } of layers.contents) {
    for (const { path } of index.files) counts[path] = (counts[path] ?? 0) + 1;
  }
  return counts;
}

/** A call that is about to be made. */
export interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** Told of a call before it is made; what it throws, the call fails with. */
export type BeforeCall = (call: Call) => void;

/** What these return is intercepted as well. */
const opening = new Set(["open", "openLayer", "beginLayer"]);

/** `target` with `before` called first: for a file system or a store, and the files that are opened by it. */
export function intercept<T extends object>(target: T, before: BeforeCall): T {
  return new Proxy(target, {
    get(object, property) {
      const member: unknown = Reflect.get(object, property);
      if (typeof member !== "function") return member;
      const name = property === Symbol.asyncDispose ? "dispose" : String(property);
      const call = (args: unknown[]): unknown => {
        before({ name, args });
        return Reflect.apply(member, object, args);
      };
      if (name.endsWith("Sync")) return (...args: unknown[]) => call(args);
      return async (...args: unknown[]) => {
        const result = await call(args);
        return opening.has(name) && typeof result === "object" && result !== null
          ? intercept(result, before)
          : result;
      };
    },
  });
}

/** One of the calls that a piece of work makes. */
export interface Point {
  /** Makes a BeforeCall that has `effect` at this call alone. All that one point makes count the calls together. */
  once(effect: BeforeCall): BeforeCall;
  /** The same, at this call and every later one. */
  onwards(effect: BeforeCall): BeforeCall;
  /** The call at this point, once it was made. */
  readonly reached: Call | undefined;
}

/**
 * Runs `act` for each call that it makes: the 1st, the 2nd, … until there is none left.
 * @returns the names of the calls.
 */
export async function atEveryCall(act: (point: Point) => Promise<void>): Promise<string[]> {
  const names: string[] = [];
  for (let at = 1;; at++) {
    let count = 0;
    let reached: Call | undefined;
    const counting = (isDue: () => boolean, effect: BeforeCall): BeforeCall => (call) => {
      count++;
      if (count === at) reached = call;
      if (isDue()) effect(call);
    };
    await act({
      once: (effect) => counting(() => count === at, effect),
      onwards: (effect) => counting(() => count >= at, effect),
      get reached() {
        return reached;
      },
    });
    if (!reached) return names;
    names.push(reached.name);
  }
}

/** A failure as the runtimes report it. */
export function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

export function failWith(code: string): () => never {
  return () => {
    throw failure(code);
  };
}
