/** The one error class of the program, with a closed set of codes. */

/** Why an operation ended in ERROR. A closed set: docs/errors.md explains each code and what to do. */
export const errorCodes = [
  "bad_setting", // a setting's value breaks its rule
  "path_outside_prefix", // a path does not lie below an allowed prefix
  "paths_overlap", // two of the directories in use lie in one another
  "not_a_cache", // clear would empty what is no compile cache, or more than one
  "disabled", // the shared cache is switched off
  "store_not_mounted", // the place of the store is not there
  "store_unsupported", // a newer format, an unknown requirement, or a file system without put-if-absent
  "store_io", // the share failed: not the same as "there is nothing"
  "local_io", // this pod's own disk failed
  "bad_format", // format.json is not one
  "bad_manifest", // a generation file that is complete and still unusable
  "untrusted", // signatures are demanded, and nothing there has one that counts
  "rollback", // the newest trusted generation is older than one that this pod has seen
  "bad_index", // a layer's index contradicts itself or the manifest
  "bad_layer", // a layer is absent, short, or fails its digest
  "bad_archive", // an archive of b10-transfer, or an exported cache, is damaged or breaks a rule
  "no_space", // too little free space
  "cache_too_large", // more than MAX_CACHE_SIZE_MB
  "contended", // other pods kept winning until the deadline
  "deadline", // an operation took longer than it may
  "interrupted", // SIGINT or SIGTERM
  "confinement", // the fence could not be put up
  "internal", // a defect of this program
] as const;

export type ErrorCode = typeof errorCodes[number];

/** A failure that the user can act on: the message names what, where, which value and which rule. */
export class CacheError extends Error {
  override readonly name = "CacheError";
  readonly code: ErrorCode;
  /** The layer of the store that is at fault, where one is. */
  readonly layer: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions & { layer?: string } = {}) {
    super(message, options);
    this.code = code;
    this.layer = options.layer;
  }
}

/** A layer is damaged or absent: what an older generation may still be free of, and the next save heals. */
export function isBadLayer(error: unknown): error is CacheError {
  return error instanceof CacheError && (error.code === "bad_layer" || error.code === "bad_index");
}

/** Wrong usage of the command line: exit status 64. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * The POSIX name of a failed file-system call ("ENOENT"), the same on every runtime.
 * A refusal by Deno's permissions carries no code; it reads as "EPERM".
 * @returns undefined for an error that is not one of the file system's.
 */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error.name === "NotCapable") return "EPERM";
  const code: unknown = Reflect.get(error, "code");
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** One line that says what went wrong, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
