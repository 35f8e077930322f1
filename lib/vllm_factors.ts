/**
 * What vLLM's own keys are made of. vLLM writes the factors of each key beside what it compiled, in
 *
 *     torch_compile_cache/<10 hex>/rank_<rank>_<data parallel rank>/<backbone|eagle_head|…>/cache_key_factors.json
 *
 * `env` has nearly every variable that vLLM knows, VLLM_API_KEY too. Then come config_hash, compiler_hash and code_hash,
 * and in some versions the factors behind them: `config`, `compiler`, and `code`, a list of {path, hash}. A restored
 * cache that does not fit is no error to vLLM: it makes another directory beside it. Two such files name the variable.
 *
 * `torch_compile_cache/torch_aot_compile/<64 hex>/` has no such file; its key has the same env and config in it.
 */
import { errnoOf, messageOf } from "./errors.ts";
import { localError } from "./local_error.ts";
import type { RestoredFiles } from "./restored_record.ts";
import type { CacheRoot } from "./roots.ts";
import { readStable } from "./stable_read.ts";
import type { DirectoryEntry, FileSystem } from "./system.ts";
import { isSecretName, replaceSecrets, withoutSecrets } from "./secrets.ts";
import { escapeUnseen, quote } from "./text.ts";
import type { LocalFile } from "./tree.ts";

/** A real one has 20 to 200 kB. */
const maxFileBytes = 4 * 1024 * 1024;

/** Below this, values are compared whole. */
const maxDepth = 8;

const maxDifferences = 20;

const maxValueCharacters = 200;

/** So many older directories of one place are compared. */
const maxOthers = 8;

/** One factor whose value differs. */
export interface FactorDifference {
  /** `env.VLLM_ATTENTION_BACKEND`, `code["/app/model.py"].hash` */
  readonly path: string;
  /** In the newest: as JSON, shortened; "absent" where there is no such factor. */
  readonly here: string;
  /** In the other one. */
  readonly there: string;
}

export interface FactorComparison {
  /** `maxDifferences` of them at most: variables first. */
  readonly differences: readonly FactorDifference[];
  /** How many were left out. */
  readonly more: number;
}

/** A directory of vLLM's, by its file of factors. */
export interface FactorsDirectory {
  /** The name below torch_compile_cache. */
  readonly directory: string;
  /** Of the file, as it was restored or written. ISO 8601 */
  readonly madeAt: string;
  /** null where this pod has no record of what it restored. */
  readonly restored: boolean | null;
  /** Why the file cannot be compared. */
  readonly problem: string | null;
}

export interface ComparedDirectory extends FactorsDirectory, FactorComparison {}

/** What vLLM has for one rank and one part of the model. */
export interface FactorsReport {
  /** `rank_0_0/backbone` */
  readonly place: string;
  readonly newest: FactorsDirectory;
  /** Newest first. */
  readonly others: readonly ComparedDirectory[];
  /** How many older ones were not looked at. */
  readonly more: number;
}

/**
 * Compares the newest file of factors with each other one of its rank and part of the model.
 * @param restored what this pod restored; empty where that is not known.
 * @returns only where there are two or more, sorted.
 * @throws {CacheError} `local_io` where this pod's disk fails. What cannot be read or parsed is told in the report.
 */
export async function compareFactorsOf(
  fs: FileSystem,
  root: CacheRoot,
  restored: RestoredFiles,
): Promise<FactorsReport[]> {
  const reports: FactorsReport[] = [];
  for (const [place, found] of groupByPlace(await findFactors(fs, root))) {
    const [first, ...rest] = found.sort(newestFirst);
    if (!first || rest.length === 0) continue;
    const newest = await readFactors(fs, first, restored);
    const others: ComparedDirectory[] = [];
    for (const file of rest.slice(0, maxOthers)) {
      const other = await readFactors(fs, file, restored);
      const isComparable = newest.directory.problem === null && other.directory.problem === null;
      others.push({
        ...other.directory,
        ...isComparable ? compareFactors(newest.value, other.value) : { differences: [], more: 0 },
      });
    }
    reports.push({ place, newest: newest.directory, others, more: rest.length - others.length });
  }
  return reports.sort((a, b) => (a.place < b.place ? -1 : 1));
}

interface FactorsFile {
  readonly directory: string;
  readonly place: string;
  readonly file: LocalFile;
}

function groupByPlace(files: readonly FactorsFile[]): Map<string, FactorsFile[]> {
  return Map.groupBy(files, ({ place }) => place);
}

function newestFirst(a: FactorsFile, b: FactorsFile): number {
  const [aNs, bNs] = [a.file.stat.mtimeNs, b.file.stat.mtimeNs];
  return aNs === bNs ? (a.directory < b.directory ? -1 : 1) : aNs > bNs ? -1 : 1;
}

const cacheDir = "torch_compile_cache";
const factorsName = "cache_key_factors.json";

/** Ten digits so far. Whatever else lies there is not a key of vLLM's. */
const hashName = /^[0-9a-f]{8,64}$/;

/** Only where vLLM puts them: a whole cache may have 70,000 files. */
async function findFactors(fs: FileSystem, root: CacheRoot): Promise<FactorsFile[]> {
  const found: FactorsFile[] = [];
  const top = `${root.dir}/${cacheDir}`;
  for (const directory of await directoriesIn(fs, top, hashName)) {
    for (const rank of await directoriesIn(fs, `${top}/${directory}`, /^rank_\d+_\d+$/)) {
      for (const prefix of await directoriesIn(fs, `${top}/${directory}/${rank}`, /./)) {
        const below = `${cacheDir}/${directory}/${rank}/${prefix}/${factorsName}`;
        const file = await lookAt(fs, { path: `${root.name}/${below}`, place: `${root.dir}/${below}` });
        if (file) found.push({ directory, place: `${rank}/${prefix}`, file });
      }
    }
  }
  return found;
}

/** No symlink among them: nothing is followed out of the root. */
async function directoriesIn(fs: FileSystem, dir: string, name: RegExp): Promise<string[]> {
  let entries: DirectoryEntry[];
  try {
    entries = await fs.list(dir);
  } catch (error) {
    if (isOutOfReach(error)) return [];
    throw localError("list", dir, error);
  }
  return entries.filter((entry) => entry.kind === "directory" && name.test(entry.name)).map((entry) =>
    entry.name
  );
}

async function lookAt(fs: FileSystem, at: { path: string; place: string }): Promise<LocalFile | undefined> {
  try {
    const stat = await fs.lstat(at.place);
    return stat.kind === "file" ? { ...at, stat } : undefined;
  } catch (error) {
    if (isOutOfReach(error)) return undefined;
    throw localError("look at", at.place, error);
  }
}

function isOutOfReach(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "EACCES"].includes(errnoOf(error) ?? "");
}

interface ReadFactors {
  readonly directory: FactorsDirectory;
  readonly value: unknown;
}

async function readFactors(
  fs: FileSystem,
  { directory, file }: FactorsFile,
  restored: RestoredFiles,
): Promise<ReadFactors> {
  const { problem, value } = await parseFile(fs, file);
  return {
    value,
    directory: {
      directory,
      madeAt: new Date(Number(file.stat.mtimeNs / 1_000_000n)).toISOString(),
      restored: restored.size === 0 ? null : isRestored(file, restored),
      problem,
    },
  };
}

/** It is there as it was restored: vLLM never writes the file anew. */
function isRestored({ path, stat }: LocalFile, restored: RestoredFiles): boolean {
  const record = restored.get(path)?.stat;
  return record !== undefined && record.ino === stat.ino && record.size === stat.size &&
    record.mtimeNs === stat.mtimeNs;
}

async function parseFile(
  fs: FileSystem,
  file: LocalFile,
): Promise<{ problem: string | null; value?: unknown }> {
  if (file.stat.size > maxFileBytes) return { problem: `it has more than ${maxFileBytes} bytes` };
  let read: Awaited<ReturnType<typeof readStable>>;
  try {
    read = await readStable(fs, file);
  } catch (error) {
    throw localError("read", file.place, error);
  }
  if (!read) return { problem: "it cannot be read, or is being written" };
  try {
    const decode = (bytes: Uint8Array): unknown =>
      JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    decode(read.content);
    // A restored one has no secrets any more: only like is compared with like.
    return { problem: null, value: decode(withoutSecrets(file.path, read.content)) };
  } catch (error) {
    return { problem: `it is not JSON: ${shortened(escapeUnseen(messageOf(error)))}` };
  }
}

/** Every factor of two files that differs, whatever shape they have: never throws. */
export function compareFactors(here: unknown, there: unknown): FactorComparison {
  const differences: FactorDifference[] = [];
  let more = 0;
  walk({ path: "", isSecret: false, depth: 0 }, here, there, (difference) => {
    if (differences.length < maxDifferences) differences.push(difference);
    else more++;
  });
  return { differences, more };
}

interface Position {
  readonly path: string;
  /** Its name, or one above it, is a secret's. */
  readonly isSecret: boolean;
  readonly depth: number;
}

function walk(
  at: Position,
  here: unknown,
  there: unknown,
  report: (difference: FactorDifference) => void,
): void {
  const [a, b] = [membersOf(here), membersOf(there)];
  if (a && b && a.isList === b.isList && at.depth < maxDepth) {
    for (const name of namesOf(a.members, b.members, at.depth)) {
      const position = {
        path: joined(at.path, name, a.isList),
        isSecret: at.isSecret || !a.isList && isSecretName(name),
        depth: at.depth + 1,
      };
      walk(position, a.members.get(name), b.members.get(name), report);
    }
    return;
  }
  const [hereText, thereText] = [textOf(here), textOf(there)];
  if (hereText === thereText) return;
  report({
    path: at.path || "the file",
    here: shown(here, at),
    there: shown(there, at),
  });
}

interface Members {
  readonly isList: boolean;
  readonly members: ReadonlyMap<string, unknown>;
}

/** A list of objects that have a path each is told apart by them: one more file must not shift all the others. */
function membersOf(value: unknown): Members | undefined {
  if (Array.isArray(value)) {
    const paths = value.map(pathOf);
    const hasPaths = value.length > 0 && paths.every((path) => path !== undefined) &&
      new Set(paths).size === paths.length;
    return {
      isList: true,
      members: new Map(value.map((item, index) => [hasPaths ? paths[index] ?? "" : String(index), item])),
    };
  }
  if (typeof value !== "object" || value === null) return undefined;
  return { isList: false, members: new Map(Object.entries(value)) };
}

function pathOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, "path")) return undefined;
  const path: unknown = Reflect.get(value, "path");
  return typeof path === "string" ? path : undefined;
}

/** What a user can change comes first; a digest says only that something behind it does; code may be long. */
const topOrder = ["env", "config", "compiler", "config_hash", "compiler_hash", "code_hash"];

function namesOf(
  a: ReadonlyMap<string, unknown>,
  b: ReadonlyMap<string, unknown>,
  depth: number,
): string[] {
  const names = [...new Set([...a.keys(), ...b.keys()])];
  if (depth > 0) return names;
  const placeOf = (name: string) => {
    const place = topOrder.indexOf(name);
    return place < 0 ? topOrder.length : place;
  };
  return names.sort((x, y) => placeOf(x) - placeOf(y));
}

function joined(path: string, name: string, isList: boolean): string {
  if (isList) return `${path}[${/^\d{1,9}$/.test(name) ? name : shortened(quote(name))}]`;
  if (!/^[A-Za-z_][A-Za-z0-9_-]{0,127}$/.test(name)) return `${path}[${shortened(quote(name))}]`;
  return path === "" ? name : `${path}.${name}`;
}

/** A secret is said to differ, and not shown. */
function shown(value: unknown, { isSecret }: Position): string {
  if (value === undefined) return "absent";
  if (isSecret && typeof value === "string" && value !== "") return "a hidden value";
  return shortened(
    escapeUnseen(textOf(value, (all) => replaceSecrets(all, { replace: () => "…", isSecret }))),
  );
}

/** As JSON. What is nested too deep for the runtime's own stack counts as the same. */
function textOf(value: unknown, prepare: (value: unknown) => unknown = (all) => all): string {
  try {
    return JSON.stringify(prepare(value)) ?? "absent";
  } catch {
    return "nested too deep to be shown";
  }
}

function shortened(text: string): string {
  return text.length <= maxValueCharacters ? text : `${text.slice(0, maxValueCharacters)}…`;
}
