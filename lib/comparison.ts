/** What this pod would add to a cache: files that the store lacks, and restored ones that were rewritten since. */
import { sha256Hex } from "./crypto.ts";
import type { PlannedFile } from "./archive.ts";
import type { Base } from "./base.ts";
import { pathConflicts } from "./entry_rules.ts";
import { localError } from "./local_error.ts";
import { type House, movingBack } from "./moving_house.ts";
import type { Operation } from "./operation.ts";
import type { RestoredFile, RestoredFiles } from "./restored_record.ts";
import { readStable } from "./stable_read.ts";
import { quote } from "./text.ts";
import type { LocalFile } from "./tree.ts";

/** A file that is to be saved. */
export interface AddedFile extends LocalFile {
  /** How often the path was replaced, this time included; absent for a path that is new. */
  readonly replacements?: number;
}

/**
 * Replicas that replaced each other's files for ever would grow the store for ever. vLLM rewrites a model that it
 * cannot load once on each new version of something that is not in the key.
 */
const maxReplacements = 3;

/** Compares a pod's tree with one base after the other, and reads each of its files once at most. */
export class Comparison {
  readonly #operation: Operation;
  readonly #restored: RestoredFiles;
  readonly #digests = new Map<LocalFile, Promise<string | undefined>>();
  readonly #told = new Set<string>();

  constructor(operation: Operation, restored: RestoredFiles) {
    this.#operation = operation;
    this.#restored = restored;
  }

  /** Some of what the store lacks cannot be saved: a notice was given for each. */
  get leftOut(): boolean {
    return this.#told.size > 0;
  }

  /** Those of `local` that a commit on `base` would add. */
  async addedTo({ plan, head }: Base, local: readonly LocalFile[]): Promise<AddedFile[]> {
    const house = movingBack(this.#operation, head.generation?.manifest);
    const absent = local.filter((file) => !plan.has(file.path));
    // One pod's file may be another's directory: what is committed already stays.
    const conflicting = new Set(
      pathConflicts(new Set([...plan.keys(), ...absent.map((file) => file.path)]))
        .flatMap(({ file, below }) => [file, below]),
    );
    for (const { path } of absent) if (conflicting.has(path)) this.#tell(path);
    const added: AddedFile[] = absent.filter((file) => !conflicting.has(file.path));
    for (const file of local) {
      const planned = plan.get(file.path);
      if (planned && await this.#isRewritten(file, { planned, house })) {
        added.push({ ...file, replacements: (planned.replacements ?? 0) + 1 });
      }
    }
    return [...house.reachable(added)];
  }

  #tell(path: string): void {
    if (this.#told.has(path)) return;
    this.#told.add(path);
    this.#operation.notice(
      `${quote(path)} is left out as the store has a file where this pod has a directory, or the reverse`,
    );
  }

  /** This pod restored it, something rewrote it since, and the store still has what was restored. */
  async #isRewritten(
    file: LocalFile,
    { planned, house }: { planned: PlannedFile; house: House },
  ): Promise<boolean> {
    const restored = this.#restored.get(file.path);
    if (!restored || restored.sha256 !== planned.sha256 || isUntouched(file, restored)) return false;
    if ((planned.replacements ?? 0) >= maxReplacements) return false;
    const digest = await this.#digestOf(file, house);
    return digest !== undefined && digest !== restored.sha256;
  }

  /** Of what the store would have of it. */
  #digestOf(file: LocalFile, house: House): Promise<string | undefined> {
    const known = this.#digests.get(file) ?? this.#readDigest(file, house);
    this.#digests.set(file, known);
    return known;
  }

  async #readDigest(file: LocalFile, house: House): Promise<string | undefined> {
    try {
      const read = await readStable(this.#operation.system.disk, file);
      return read && sha256Hex(house.rewritten(file.path, read.content));
    } catch (error) {
      throw localError("read", file.place, error);
    }
  }
}

function isUntouched({ stat }: LocalFile, { stat: recorded }: RestoredFile): boolean {
  return stat.ino === recorded.ino && stat.size === recorded.size && stat.mtimeNs === recorded.mtimeNs &&
    stat.ctimeNs === recorded.ctimeNs;
}
