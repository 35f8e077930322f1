/**
 * What an archive restores, checked whole before a byte is written: every name, size, mode and link. By the rules that
 * a layer's files follow, and with the same content left out. Pure.
 */
import { entryPathProblem } from "../entry_path.ts";
import {
  addDirectory,
  decodesToMore,
  describeConflict,
  directoriesAbove,
  fileSizeProblem,
  maxEntries,
  pathConflicts,
  quoteShort as quote,
  restoredMode,
  tooMany,
} from "../entry_rules.ts";
import { isLeftOutDirectory, isLeftOutFile } from "../roots.ts";
import { type TarEntry, TarRule } from "./tar_entries.ts";

/** All names together, as they are kept in memory: as much as the indexes of a cache may have. */
const maxNameCharacters = 64 * 1024 * 1024;

export interface ArchivedFile {
  /** Below the directory that was archived. */
  readonly path: string;
  readonly size: number;
  /** Permission bits, without writing for everybody. */
  readonly mode: number;
  readonly mtimeNs: bigint;
}

export interface ArchivePlan {
  /** By path; what is no cache content is left out. */
  readonly files: ReadonlyMap<string, ArchivedFile>;
  /** By the path of the entry that has the content: the files with it, which are itself and its hard links. */
  readonly byContent: ReadonlyMap<string, readonly ArchivedFile[]>;
}

/** Adds one entry after the other, in the archive's order, and throws a TarRule at the first that breaks a rule. */
export class ArchivePlanner {
  readonly #files = new Map<string, ArchivedFile>();
  readonly #byContent = new Map<string, ArchivedFile[]>();
  /** Those that have an entry, and all above them. */
  readonly #directories = new Set<string>();
  /** Every file and link, left out or not: the path of the entry that has the content, and its size. */
  readonly #contents = new Map<string, { readonly source: string; readonly size: number }>();
  readonly #maxRawBytes: number;
  #entries = 0;
  #nameCharacters = 0;
  #rawBytes = 0;

  /** @param maxRawBytes what all contents together may have at most. */
  constructor({ maxRawBytes }: { maxRawBytes: number }) {
    this.#maxRawBytes = maxRawBytes;
  }

  add(entry: TarEntry): void {
    if (++this.#entries > maxEntries) throw new TarRule(tooMany);
    this.#nameCharacters += entry.name.length;
    if (this.#nameCharacters > maxNameCharacters) {
      throw new TarRule(`its names have more than ${maxNameCharacters} characters together`);
    }
    if (entry.kind === "directory") this.#addDirectory(entry);
    else this.#addFile(entry);
  }

  /** @throws {TarRule} */
  plan(): ArchivePlan {
    const directories = directoriesAbove(this.#contents.keys(), this.#directories);
    if (!directories) throw new TarRule(tooMany);
    for (const directory of directories) if (this.#contents.has(directory)) this.#refuseFilesAsParents();
    return { files: this.#files, byContent: this.#byContent };
  }

  #refuseFilesAsParents(): void {
    const [conflict] = pathConflicts(new Set([...this.#contents.keys(), ...this.#directories]))
      .filter(({ file }) => this.#contents.has(file));
    if (conflict) throw new TarRule(describeConflict(conflict));
  }

  #addDirectory(entry: TarEntry): void {
    const name = entry.name.replace(/\/$/, "");
    if (name === ".") return;
    const path = checkedPath(name, entry.name);
    if (this.#contents.has(path)) throw ruleOf(entry, "not be a file and a directory");
    addDirectory(this.#directories, path);
    if (this.#directories.size > maxEntries) throw new TarRule(tooMany);
  }

  #addFile(entry: TarEntry): void {
    const path = checkedPath(entry.name, entry.name);
    if (this.#contents.has(path)) throw ruleOf(entry, "occur once");
    if (this.#directories.has(path)) throw ruleOf(entry, "not be a file and a directory");
    if (entry.mode > 0o777) throw ruleOf(entry, "have no setuid, setgid or sticky bit");
    const content = entry.kind === "link" ? this.#linked(entry) : { source: path, size: entry.size };
    const problem = fileSizeProblem(content.size);
    if (problem) throw ruleOf(entry, problem);
    this.#rawBytes += content.size;
    if (this.#rawBytes > this.#maxRawBytes) throw new TarRule(decodesToMore(this.#maxRawBytes));
    this.#contents.set(path, content);
    if (isLeftOut(path)) return;
    const file = { path, size: content.size, mode: restoredMode(entry.mode), mtimeNs: entry.mtimeNs };
    this.#files.set(path, file);
    const twins = this.#byContent.get(content.source);
    if (twins) twins.push(file);
    else this.#byContent.set(content.source, [file]);
  }

  #linked(entry: TarEntry): { source: string; size: number } {
    const target = this.#contents.get(checkedPath(entry.linkName, entry.linkName));
    if (!target) throw ruleOf(entry, `be a hard link to an earlier file, not to ${quote(entry.linkName)}`);
    return target;
  }
}

/** The path that an entry of this name has: GNU tar begins those of `tar -C dir .` with "./". */
export function entryPath(name: string): string {
  return name.startsWith("./") ? name.slice(2) : name;
}

function checkedPath(name: string, shown: string): string {
  const path = entryPath(name);
  const problem = entryPathProblem(path);
  if (problem) throw new TarRule(`the name ${quote(shown)} must ${problem}`);
  return path;
}

function ruleOf({ name }: TarEntry, rule: string): TarRule {
  return new TarRule(`the entry ${quote(name)} must ${rule}`);
}

function isLeftOut(path: string): boolean {
  const names = path.split("/");
  const file = names.pop() ?? "";
  return isLeftOutFile(file) || names.some(isLeftOutDirectory);
}
