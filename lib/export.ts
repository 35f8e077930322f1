/** Export: the newest cache of a key becomes one file, ours or one that b10-transfer loads. */
import { framesToPack, type PlannedFile, type SourceFile, splitRoot } from "./archive.ts";
import { writeBundle } from "./bundle.ts";
import { writeArchive } from "./foreign/write.ts";
import { findHead, refuseUntrustedHistory } from "./history.ts";
import { type OpenLayers, openLayers } from "./layers.ts";
import { NewFile } from "./local_file.ts";
import type { Manifest } from "./manifest.ts";
import type { Operation } from "./operation.ts";
import { readBack } from "./read_back.ts";
import type { Signer } from "./signatures.ts";
import type { Store } from "./store.ts";
import { countOf } from "./text.ts";

export type FileFormat = "native" | "b10-transfer";

export type ExportOutcome =
  | {
    readonly status: "SUCCESS";
    readonly generation: number;
    readonly totals: { readonly files: number; readonly bytes: number; readonly storedBytes: number };
  }
  | { readonly status: "DOES_NOT_EXIST"; readonly reason: string };

export type ExportOperation = Pick<Operation, "system" | "key" | "signal" | "notice" | "progress">;

export interface ExportTarget {
  /** Absolute. */
  readonly path: string;
  readonly format: FileFormat;
  /** The one root whose files an archive of b10-transfer holds. */
  readonly root: string;
  /** Replace what has the name already. */
  readonly replace: boolean;
}

/**
 * Every byte is checked on the way; the file appears whole or not at all.
 * @throws {CacheError} with whatever has the file's name as it was.
 */
export async function exportCache(
  operation: ExportOperation,
  store: Store | undefined,
  target: ExportTarget,
): Promise<ExportOutcome> {
  const { key, system } = operation;
  const { generation, passedOver = [] } = store ? await findHead(store, key) : {};
  if (!generation && passedOver.length > 0) refuseUntrustedHistory(key, passedOver);
  if (!store || !generation || generation.manifest.layers.length === 0) {
    return { status: "DOES_NOT_EXIST", reason: `the store has no cache of the key ${key}` };
  }
  const { manifest } = generation;
  await using opened = await openLayers(store, key, manifest);
  const planned = [...opened.plan.values()].filter((file) => isExported(file, target));
  if (planned.length === 0) {
    return { status: "DOES_NOT_EXIST", reason: `the cache of the key ${key} has no files of ${target.root}` };
  }
  const rest = opened.plan.size - planned.length;
  if (rest > 0) {
    operation.notice(`${countOf(rest, "file")} of other directories stay out: there is no place for them`);
  }
  await using file = await NewFile.create(system, target.path);
  const totals = await write(operation, file, {
    opened,
    manifest,
    signer: store.signatures?.signer,
    target,
    planned,
  });
  operation.signal.throwIfAborted();
  await file.publish({ replace: target.replace });
  return { status: "SUCCESS", generation: manifest.n, totals };
}

function isExported({ path }: PlannedFile, { format, root }: ExportTarget): boolean {
  return format === "native" || splitRoot(path)[0] === root;
}

async function write(
  { signal, progress, system }: ExportOperation,
  file: NewFile,
  { opened, manifest, signer, target, planned }: {
    opened: OpenLayers;
    manifest: Manifest;
    signer: Signer | undefined;
    target: ExportTarget;
    planned: readonly PlannedFile[];
  },
) {
  const total = planned.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const onBytes = (bytes: number) => progress(Math.min(done += bytes, total), total);
  const append = (bytes: Uint8Array) => file.append(bytes);
  const written = target.format === "native"
    ? await writeBundle(readBack(opened, signal), {
      about: manifest,
      signer,
      nonce: system.random.hex(16),
      append,
      packing: { framesHeld: framesToPack(system.runtime.cores), onFrame: onBytes },
    })
    : await writeArchive(belowRoot(readBack(opened, signal), target.root, onBytes), append);
  return { files: written.files, bytes: written.rawBytes, storedBytes: written.bytes };
}

/** The files of one root, by their paths below it. */
async function* belowRoot(
  files: AsyncIterable<SourceFile>,
  root: string,
  onBytes: (bytes: number) => void,
): AsyncGenerator<SourceFile> {
  for await (const file of files) {
    const [name, below] = splitRoot(file.path);
    if (name !== root) continue;
    yield { ...file, path: below };
    onBytes(file.content.length);
  }
}
