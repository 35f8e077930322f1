/**
 * Which directories make up a cache, and what in them is cache content. The lists are those of the directories
 * themselves, as torch 2.11 to 2.13, Triton 3.6 and vLLM 0.32 write them. Pure.
 */

/** One directory of this pod's cache. */
export interface CacheRoot {
  /** The first component of its files' paths in the store. */
  readonly name: string;
  /** Where it lies on this pod, symlinks resolved. */
  readonly dir: string;
  /**
   * As the programs that write there name it, if not so: what stands in their files. For files from elsewhere, as the
   * pod named it that they come from.
   */
  readonly path?: string;
}

/** What stands in files that hold absolute paths, by the root's name. */
export function rootPaths(roots: readonly CacheRoot[]): Readonly<Record<string, string>> {
  return Object.fromEntries(roots.map(({ name, dir, path }) => [name, path ?? dir]));
}

/** The one that b10-transfer would work on, and beside which a pod's state is kept if need be. */
export function primaryRoot(roots: readonly CacheRoot[]): CacheRoot | undefined {
  return roots.find(({ name }) => name === "vllm") ?? roots.find(({ name }) => name === "inductor") ??
    roots[0];
}

const rootName = "[a-z0-9][a-z0-9_-]{0,31}";

/** What a root may be called. */
export const rootNamePattern = new RegExp(`^${rootName}$`);

/** What begins with a root's name, and goes on below it. */
export const belowRootPattern = new RegExp(`^${rootName}/.`, "s");

/** Staging directories of this program lie in the target under such a name. */
export const stagingPrefix = ".b10-";

/** The name of one such directory. @param nonce 32 hex digits that are never used twice. */
export function stagingName(nonce: string): string {
  return `${stagingPrefix}${nonce}`;
}

export function isStagingName(name: string): boolean {
  return /^\.b10-[0-9a-f]{32}$/.test(name);
}

const leftOutDirectories = [
  /^locks$/, // Inductor's and FileLock's: meaningful only to running processes
  /^precompiled_headers$/, // 156 MB on CPU pods, needed only to compile anew
  /^__pycache__$/, // Python makes it again
  /^tmp\./, // Triton's and Inductor's unfinished work
];

const leftOutFiles = [
  /\.lock$/,
  /\.tmp$/,
  /^\.\d+\.\d+\.tmp/, // Inductor: .<pid>.<thread>.tmp
  /^gpu_p2p_access_cache_for_.*\.json$/, // vLLM: this host's topology
  /^CACHEDIR\.TAG$/, // what the owner of this one directory says of it
];

/** Files that promise that others are there: placed after everything else. */
const indexLikeFiles = [
  "__grp__.*\\.json", // Triton: lists a kernel's files
  "vllm_compile_cache\\.py", // vLLM: lists the artifacts of a compile range
  "model", // vLLM: the ahead-of-time compiled model points into inductor_cache/
];
const indexLikeFile = new RegExp(`^(?:${indexLikeFiles.join("|")})$`);

/** The directory `name` and all below it is no cache content. */
export function isLeftOutDirectory(name: string): boolean {
  return name.startsWith(stagingPrefix) || leftOutDirectories.some((pattern) => pattern.test(name));
}

/** The file `name` is no cache content. */
export function isLeftOutFile(name: string): boolean {
  return leftOutFiles.some((pattern) => pattern.test(name));
}

export function isIndexLike(name: string): boolean {
  return indexLikeFile.test(name);
}
