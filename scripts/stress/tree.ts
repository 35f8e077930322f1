/** What pods compile: small trees with everything that makes a cache hard to share. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Pod } from "./pod.ts";
import type { Seeded } from "./seeded.ts";
import { describeFile } from "../snapshot.ts";

/** Paths that many pods write, each with bytes of its own. */
const sharedFiles = 24;
const sharedGroups = 6;
/** Paths that are a file on some pods, and a directory on others. */
const clashes = 5;

const modes = [0o644, 0o600, 0o755, 0o444] as const;
const largestBytes = 60_000;
const longestAgeMs = 1e11;

/** An index-like file, as Triton has one for each kernel: whoever finds it relies on what it lists. */
const indexName = "__grp__kernel.json";
const groupNames = ["kernel.cubin", "kernel.json", "kernel.source"] as const;

/** What a pod has when it first saves. */
export function writeFirstFiles(pod: Pod, random: Seeded): void {
  writeMoreFiles(pod, random, "first");
  for (let count = random.below(5); count >= 0; count--) {
    write(pod, `shared/${random.below(sharedFiles)}.py`, textOf(pod, random), random);
  }
  if (random.chance(50)) writeGroup(pod, `triton/shared-${random.below(sharedGroups)}`, random);
  if (random.chance(40)) writeClash(pod, random);
  // Equal files are stored once.
  write(pod, `same/${pod.name}`, new TextEncoder().encode("the same on every pod\n"), random);
}

/** What it compiles later. @param round distinguishes it from what was before. */
export function writeMoreFiles(pod: Pod, random: Seeded, round: string): void {
  const dir = `own/${pod.name}/${round}`;
  write(pod, `${dir}/kernel.so`, random.bytes(random.below(largestBytes)), random);
  write(pod, `${dir}/graph.py`, textOf(pod, random), random);
  if (random.chance(30)) writeGroup(pod, `triton/${pod.name}-${round}`, random);
  if (random.chance(20)) write(pod, `${dir}/empty`, new Uint8Array(0), random);
}

/** What lies on a pod that only loads: more than nothing, and less than the cache. */
export function writeLocalFiles(pod: Pod, random: Seeded): void {
  write(pod, `local/${pod.name}`, textOf(pod, random), random);
  write(pod, `shared/${random.below(sharedFiles)}.py`, textOf(pod, random), random);
  if (random.chance(50)) writeClash(pod, random);
  fs.mkdirSync(path.join(pod.torchDir, "triton", `shared-${random.below(sharedGroups)}`), {
    recursive: true,
  });
}

/** Another process writes a file anew that this pod restored, as vLLM does with a model that it cannot load. */
export function rewriteRestored(pod: Pod, random: Seeded): void {
  const name = `shared/${random.below(sharedFiles)}.py`;
  if (pod.own.has(name) || !fs.existsSync(path.join(pod.torchDir, name))) return;
  fs.rmSync(path.join(pod.torchDir, name));
  write(pod, name, textOf(pod, random), random);
}

function writeGroup(pod: Pod, dir: string, random: Seeded): void {
  for (const name of groupNames) write(pod, `${dir}/${name}`, textOf(pod, random), random);
  const index = JSON.stringify({ child_paths: groupNames, pod: pod.name });
  write(pod, `${dir}/${indexName}`, new TextEncoder().encode(index), random);
}

function writeClash(pod: Pod, random: Seeded): void {
  const name = `clash/${random.below(clashes)}`;
  write(pod, random.chance(50) ? name : `${name}/leaf`, textOf(pod, random), random);
}

/** Unless something is in the way. */
function write(pod: Pod, name: string, content: Uint8Array, random: Seeded): void {
  const file = path.join(pod.torchDir, name);
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content, { flag: "wx" });
  } catch (error) {
    if (isInTheWay(error)) return;
    throw error;
  }
  fs.chmodSync(file, random.pick(modes));
  // A save waits until files that were written just now have settled.
  if (random.chance(95)) {
    const mtimeS = (Date.now() - random.between(1000, longestAgeMs)) / 1000;
    fs.utimesSync(file, mtimeS, mtimeS);
  }
  pod.own.set(name, describeFile(file));
}

function isInTheWay(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EEXIST" || error.code === "ENOTDIR");
}

function textOf(pod: Pod, random: Seeded): Uint8Array {
  const line = `# ${pod.name} ${random.below(2 ** 32)}\n`;
  return new TextEncoder().encode(line.repeat(1 + random.below(200)));
}

/** @returns names that an index-like file lists, and that are not beside it; empty for any other file. */
export function missingBeside(file: string): string[] {
  if (path.basename(file) !== indexName) return [];
  return groupNames.filter((name) => !fs.existsSync(path.join(path.dirname(file), name)));
}

/** Every file's path below the pod's cache, but for what lies in staging directories. */
export function listFiles({ torchDir }: Pod): string[] {
  return fs.readdirSync(torchDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(torchDir, path.join(entry.parentPath, entry.name)))
    .filter((name) => !isStaged(name));
}

/** The path lies in a staging directory of a load. */
export function isStaged(name: string): boolean {
  return /^\.b10-[0-9a-f]{32}(\/|$)/.test(name);
}
