/**
 * Import: the content of one file, ours or b10-transfer's, is committed to the store. It is unpacked where nobody else
 * looks, by the rules of a load, and saved from there, by the rules of a save.
 */
import { planLayers, splitRoot, unpackLayer } from "./archive.ts";
import { readBundle } from "./bundle.ts";
import { readArchive, surveyArchive } from "./foreign/archive.ts";
import type { CacheKey } from "./key.ts";
import { openLocalFile } from "./local_file.ts";
import { requireSpace } from "./local_space.ts";
import type { Manifest } from "./manifest.ts";
import type { Operation, SaveOutcome } from "./operation.ts";
import type { CacheRoot } from "./roots.ts";
import { save } from "./save.ts";
import type { TrustedKeys } from "./signatures.ts";
import { Staging } from "./staging.ts";
import type { Store } from "./store.ts";
import { requireDigest } from "./verify_layer.ts";

export interface ImportOperation extends Omit<Operation, "key" | "roots" | "state"> {
  /** Is called once there is something to save. */
  readonly openStore: () => Promise<Store>;
  /** A directory of this user alone, in which files are unpacked on their way. */
  readonly workDir: string;
  /** The keys of which one must have signed an exported cache, where signatures are demanded. */
  readonly trusted?: TrustedKeys | undefined;
}

/** A file that the user named. */
export interface ImportedFile {
  readonly path: string;
  /** For messages. */
  readonly name: string;
}

/**
 * Imports what `export` wrote.
 * @param keyOf decides under which key, by what the file says of itself.
 * @throws {CacheError} with the store as readers saw it before.
 */
export async function importBundle(
  operation: ImportOperation,
  { path, name }: ImportedFile,
  keyOf: (manifest: Manifest) => CacheKey,
): Promise<{ readonly key: CacheKey; readonly outcome: SaveOutcome }> {
  await using file = await openLocalFile(operation.system.fs, path);
  const { manifest, contents } = await readBundle(file, name, operation.trusted);
  const key = keyOf(manifest);
  const planned = [...planLayers([contents]).values()];
  await using staging = await stage(operation, planned);
  await unpackLayer({ file, contents }, planned, (each, content) => {
    operation.signal.throwIfAborted();
    requireDigest(each, content);
    staging.write({ path: each.path, mode: each.mode, mtimeNs: BigInt(each.mtime) }, content);
  });
  const names = new Set(planned.map((each) => splitRoot(each.path)[0]));
  const roots = [...names].map((root) => ({
    name: root,
    path: manifest.roots[root]?.path ?? "",
  }));
  const saved = await saveStaged(operation, staging, {
    key,
    roots,
    originalEnvironment: manifest.environment,
  });
  return { key, outcome: saved };
}

/**
 * Imports an archive of b10-transfer, which holds one directory.
 * @param root what that directory is, and where this pod has it.
 * @throws {CacheError} with the store as readers saw it before.
 */
export async function importArchive(
  operation: ImportOperation,
  { path, name }: ImportedFile,
  { key, root }: { key: CacheKey; root: CacheRoot },
): Promise<SaveOutcome> {
  const { signal } = operation;
  await using file = await openLocalFile(operation.system.fs, path);
  const archive = { name, file };
  const survey = await surveyArchive(archive, { signal });
  const files = [...survey.plan.files.values()];
  await using staging = await stage(operation, files);
  const wanted = new Set(files.map((each) => each.path));
  await readArchive(archive, { survey, wanted, signal }, (each, content) => {
    signal.throwIfAborted();
    staging.write({ ...each, path: `${root.name}/${each.path}` }, content);
  });
  return await saveStaged(operation, staging, {
    key,
    roots: [{ name: root.name, path: root.path ?? root.dir }],
  });
}

async function stage(
  { system, workDir }: ImportOperation,
  files: readonly { readonly size: number }[],
): Promise<Staging> {
  await requireSpace(system.disk, workDir, files.reduce((sum, { size }) => sum + size, 0));
  return await Staging.create(system, workDir);
}

async function saveStaged(
  operation: ImportOperation,
  staging: Staging,
  { key, roots, originalEnvironment }: {
    key: CacheKey;
    roots: readonly Pick<Required<CacheRoot>, "name" | "path">[];
    originalEnvironment?: Manifest["environment"];
  },
): Promise<SaveOutcome> {
  return await save({
    ...operation,
    key,
    roots: roots.map((root) => ({ ...root, dir: `${staging.dir}/${root.name}` })),
    state: undefined,
    ...(originalEnvironment === undefined ? {} : { originalEnvironment }),
  }, operation.openStore);
}
