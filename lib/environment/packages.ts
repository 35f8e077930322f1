/** Which torch, Triton and vLLM an interpreter would import, going by the directories on its sys.path. */
import { dirname, join } from "node:path/posix";
import type { FileSystem } from "../system.ts";
import { type Distribution, parseDistribution, parseVersionHeader } from "./distributions.ts";
import { listNames, readText } from "./read_text.ts";
import { parseTorchVersion } from "./torch_version.ts";

export interface Package {
  readonly version: string;
  /** The file or directory that says so. */
  readonly source: string;
}

export interface TorchBuild extends Package {
  readonly cuda: string | null;
  readonly rocm: string | null;
  /** The kinds of GPU it can use: none for a CPU build, both where it does not say. */
  readonly accelerators: readonly ("cuda" | "rocm")[];
}

export interface Packages {
  readonly torch: TorchBuild | undefined;
  readonly triton: Package | undefined;
  readonly vllm: Package | undefined;
}

/** Every name under which the module `triton` is published; the first that is there counts. */
const tritonNames = [
  "triton",
  "pytorch-triton",
  "pytorch-triton-rocm",
  "pytorch-triton-xpu",
  "triton-rocm",
  "triton-cpu",
  "triton-xpu",
];

interface Installed extends Distribution {
  readonly path: string;
}

export interface Places {
  /** The directories of sys.path, in order: the first that has a package wins, as for Python's import. */
  readonly dirs: readonly string[];
  /** Where `import torch` finds it, if that is known; else it is sought in `dirs`. */
  readonly torchDir?: string;
}

/** Directories that are not there hold nothing. */
export async function findPackages(fs: FileSystem, { dirs, torchDir }: Places): Promise<Packages> {
  const torchDirs = torchDir === undefined ? dirs.map((dir) => join(dir, "torch")) : [torchDir];
  const [build, ...listings] = await Promise.all([
    findBuild(fs, torchDirs),
    ...dirs.map(async (dir) => metadataIn(dir, await listNames(fs, dir))),
  ]);
  const installed = listings.flat();
  const [torch, triton, vllm] = await Promise.all([
    build ?? findPackage(fs, ["torch"], installed).then(withoutBuild),
    findPackage(fs, tritonNames, installed),
    findPackage(fs, ["vllm"], installed),
  ]);
  return { torch, triton, vllm };
}

/** Sorted, as a file system lists names in any order. */
function metadataIn(dir: string, names: readonly string[]): Installed[] {
  return [...names].sort().flatMap((entry) => {
    const distribution = parseDistribution(entry);
    return distribution ? [{ ...distribution, path: join(dir, entry) }] : [];
  });
}

async function findPackage(
  fs: FileSystem,
  names: readonly string[],
  installed: readonly Installed[],
): Promise<Package | undefined> {
  for (const name of names) {
    const first = installed.find((one) => one.name === name);
    if (!first) continue;
    // An upgrade that went wrong leaves two versions in one directory. Which files are whose nobody can tell,
    // so both are named: such a pod shares a key with its equals alone.
    const rivals = installed.filter((one) => one.name === name && dirname(one.path) === dirname(first.path));
    const versions = await Promise.all(rivals.map((one) => versionOf(fs, one)));
    return { version: versions.join(", "), source: first.path };
  }
  return undefined;
}

async function versionOf(fs: FileSystem, { version, path }: Installed): Promise<string> {
  return version ?? parseVersionHeader(await readText(fs, join(path, "PKG-INFO")) ?? "") ?? "unknown";
}

/** The first of these directories whose version.py tells. All are read at once. */
async function findBuild(fs: FileSystem, torchDirs: readonly string[]): Promise<TorchBuild | undefined> {
  const sources = torchDirs.map((dir) => join(dir, "version.py"));
  const texts = await Promise.all(sources.map((source) => readText(fs, source)));
  return sources.map((source, at) => buildOf(source, texts[at] ?? "")).find((build) => build !== undefined);
}

function buildOf(source: string, text: string): TorchBuild | undefined {
  const { version, cuda, rocm } = parseTorchVersion(text);
  if (version === undefined) return undefined;
  const accelerators = [
    ...(cuda === null ? [] : ["cuda" as const]),
    ...(rocm === null ? [] : ["rocm" as const]),
  ];
  return { version, cuda, rocm, accelerators, source };
}

/** A torch without a version.py that can be read: what it was built for is not known. */
function withoutBuild(torch: Package | undefined): TorchBuild | undefined {
  return torch && { ...torch, cuda: null, rocm: null, accelerators: ["cuda", "rocm"] };
}
