/** Load from an archive of b10-transfer, where the store has no cache of its own for this pod: for fleets that move. */
import { CacheError } from "./errors.ts";
import { type Archive, readArchive, type Survey, surveyArchive } from "./foreign/archive.ts";
import { foreignProgram } from "./foreign/archive_name.ts";
import type { ArchivedFile } from "./foreign/plan.ts";
import { openArchive } from "./foreign/shelf.ts";
import { neededBytes, requireSpace } from "./local_space.ts";
import { missingFiles } from "./missing_files.ts";
import type { ForeignLoadOutcome, NativeLoadOutcome, Operation } from "./operation.ts";
import { type CacheRoot, primaryRoot } from "./roots.ts";
import { Staging } from "./staging.ts";

type Miss = Extract<NativeLoadOutcome, { status: "DOES_NOT_EXIST" }>;

/** How often a load begins again where another archive took the name while it read. */
const maxLooks = 3;

/**
 * Restores the archive `name` into the operation's first root, all or nothing, by the rules of any load: nothing local
 * is overwritten, and SKIPPED is said only after every path was compared.
 * @throws {CacheError} `bad_archive` for one that is damaged or hostile, with the root as it was.
 */
export async function loadForeign(
  operation: Operation,
  { storeDir, name }: { storeDir: string; name: string },
): Promise<ForeignLoadOutcome | Miss> {
  for (let look = 1;; look++) {
    await using archive = await openArchive(operation.system.fs, { storeDir, name });
    const root = primaryRoot(operation.roots);
    if (!archive || !root) {
      return { status: "DOES_NOT_EXIST", reason: `there is no ${name}` };
    }
    try {
      return await loadArchive(operation, archive, root);
    } catch (error) {
      const isBad = error instanceof CacheError &&
        (error.code === "bad_archive" || error.code === "bad_layer");
      if (!isBad || look >= maxLooks || !await archive.isReplaced()) throw error;
    }
  }
}

interface Target {
  readonly file: ArchivedFile;
  readonly root: string;
  readonly below: string;
}

async function loadArchive(
  operation: Operation,
  archive: Archive,
  root: CacheRoot,
): Promise<ForeignLoadOutcome | Miss> {
  const { system, signal, config } = operation;
  const survey = await surveyArchive(archive, { signal });
  const targets = [...survey.plan.files.values()]
    .map((file): Target => ({ file, root: root.dir, below: file.path }));
  const from = `${foreignProgram}'s ${archive.name}`;
  if (targets.length === 0) return { status: "DOES_NOT_EXIST", reason: `${from} holds no cache content` };
  const missing = (await missingFiles(operation, targets)).map(({ file }) => file);
  if (missing.length === 0) {
    return {
      status: "SKIPPED",
      origin: foreignProgram,
      reason: `everything in ${from} is already on this pod`,
    };
  }
  const bytes = missing.reduce((sum, file) => sum + file.size, 0);
  await requireSpace(system.disk, root.dir, neededBytes(config, { raw: bytes, stored: archive.file.bytes }));
  await restore(operation, archive, { root, survey, missing, bytes });
  const totals = { files: missing.length, bytes, storedBytes: archive.file.bytes };
  return { status: "SUCCESS", origin: foreignProgram, archive: archive.name, totals };
}

async function restore(
  operation: Operation,
  archive: Archive,
  { root, survey, missing, bytes }: {
    root: CacheRoot;
    survey: Survey;
    missing: readonly ArchivedFile[];
    bytes: number;
  },
): Promise<void> {
  const { signal, progress } = operation;
  await using staging = await Staging.create(operation.system, root.dir);
  const wanted = new Set(missing.map((file) => file.path));
  let done = 0;
  await readArchive(archive, { survey, wanted, signal }, (file, content) => {
    signal.throwIfAborted();
    staging.write(file, content);
    wanted.delete(file.path);
    progress(done += content.length, bytes);
  });
  signal.throwIfAborted();
  if (wanted.size > 0) {
    throw new CacheError("internal", `${wanted.size} files did not come out of the archive ${archive.name}`);
  }
  for (const text of await staging.place()) operation.notice(text);
}
