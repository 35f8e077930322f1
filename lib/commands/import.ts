/** The command `import`: the content of a file is committed to the store. */
import { basename } from "node:path/posix";
import { whyNothingIsSaved } from "../config.ts";
import type { Environment } from "../environment.ts";
import { CacheError } from "../errors.ts";
import type { FileFormat } from "../export.ts";
import { archiveKey } from "../foreign/archive_name.ts";
import { foreignKey } from "../foreign/key.ts";
import { unsignedArchives } from "../foreign/policy.ts";
import { importArchive, importBundle, type ImportOperation } from "../import.ts";
import { type CacheKey, computeKey, parseKey } from "../key.ts";
import { readSignatures } from "../key_files.ts";
import type { Manifest } from "../manifest.ts";
import type { SaveOutcome } from "../operation.ts";
import { putUpFence } from "../fence.ts";
import {
  createStoreDir,
  identify,
  type Identity,
  requireKnownFileSystem,
  type ResolvedSettings,
} from "../pod.ts";
import { confineRoots, refuseStoreInRoots } from "../pod_roots.ts";
import { openOrCreatePodStore } from "../pod_store.ts";
import type { CacheRoot } from "../roots.ts";
import type { Signatures } from "../signatures.ts";
import { sweepStagings } from "../staging.ts";
import { stateDir } from "../state_dir.ts";
import { deadUploadMs } from "../ages.ts";
import { type Report, reportOutcome } from "../status.ts";
import type { System } from "../system.ts";
import { quote } from "../text.ts";
import { bounded, type Running } from "./bounded.ts";
import { type CommandContext, settingsLog } from "./context.ts";
import { settle, type Settled, settleStore } from "./settle.ts";
import type { TransferFlags } from "./export.ts";
import { confineFile, fileFormat } from "./file_argument.ts";

export function importCommand(
  context: CommandContext,
  flags: TransferFlags,
  words: readonly string[],
): Promise<number> {
  const [word = ""] = words;
  const format = fileFormat(word, flags.format);
  const known: { key?: string; file?: string; format?: string } = { format };
  return bounded(context, {
    operation: "import",
    deadline: "save",
    known: () => known,
    act: async (running): Promise<Report> => {
      const settled = await settle(context);
      const reason = whyNothingIsSaved(settled.settings.config);
      if (reason !== undefined) return { ...known, ...skipped(reason, running.elapsedMs()) };
      const prepared = await prepare(context, flags, { word, format, settled });
      known.file = prepared.path;
      const { key, outcome } = await importFile(context, prepared, running);
      known.key = key;
      const elapsedMs = running.elapsedMs();
      return { ...known, ...reportOutcome(outcome, { operation: "import", elapsedMs, key }) };
    },
  });
}

/** As a save is. */
function skipped(reason: string, elapsedMs: number): Report {
  const outcome = { status: "SKIPPED", reason } as const;
  return reportOutcome(outcome, { operation: "import", elapsedMs });
}

interface Prepared {
  readonly settings: ResolvedSettings;
  readonly identity: Identity;
  readonly format: FileFormat;
  readonly path: string;
  readonly root: CacheRoot;
  readonly storeDir: string;
  readonly signatures: Signatures;
  /** Of this user alone. */
  readonly workDir: string;
}

/** Settings, facts, directories, fence: in this order. */
async function prepare(
  context: CommandContext,
  flags: TransferFlags,
  { word, format, settled }: { word: string; format: FileFormat; settled: Settled },
): Promise<Prepared> {
  const { system } = context;
  const { settings } = settled;
  if (format !== "native" && settings.config.trustedKeysFile !== null) {
    throw new CacheError("untrusted", `Cannot import ${quote(word)} as ${unsignedArchives}`);
  }
  const path = await confineFile(system, settings, word);
  const roots = await confineRoots(system, settings, flags.vllm ? "vllm" : "torch");
  const storeDir = await settleStore(context, settled);
  refuseStoreInRoots(roots, storeDir);
  const signatures = await readSignatures(system, settings.config, { storeDir, roots });
  const identity = await identify(system, settings);
  requireKnownFileSystem(system, storeDir, settings);
  await createStoreDir(system, storeDir, settings);
  const { dir: workDir, notice } = await stateDir(system, settings, { roots, create: true });
  const [root] = roots;
  if (workDir === undefined || !root) {
    throw new CacheError("local_io", `Cannot unpack ${quote(word)}: ${notice}`);
  }
  await putUpFence(system, [storeDir, workDir, path]);
  await sweepStagings(system, workDir, deadUploadMs(settings.config));
  return { settings, identity, format, path, root, storeDir, signatures, workDir };
}

async function importFile(
  context: CommandContext,
  prepared: Prepared,
  { signal }: Running,
): Promise<{ readonly key: CacheKey; readonly outcome: SaveOutcome }> {
  const { system } = context;
  const { settings, identity, path, root, format } = prepared;
  const log = settingsLog(context, settings.config.logLevel);
  using progress = context.makeProgress("import");
  const operation: ImportOperation = {
    system,
    config: settings.config,
    environment: identity.environment,
    storeDir: prepared.storeDir,
    signal,
    notice: (text) => log.warning(text),
    inform: (text) => log.info(text),
    progress: progress.update,
    openStore: () => openOrCreatePodStore(system, prepared.storeDir, prepared.signatures),
    trusted: prepared.signatures.trusted,
    workDir: prepared.workDir,
  };
  const file = { path, name: basename(path) };
  if (format === "native") {
    return await importBundle(operation, file, (manifest) => keyOfBundle(settings, manifest));
  }
  if (settings.config.pinnedKey === null) {
    requireOwnArchive(system, file.name, settings, identity.environment);
  }
  return { key: identity.key, outcome: await importArchive(operation, file, { key: identity.key, root }) };
}

/** The key that was pinned, else that of the namespace that was named, else the one that the file was exported from. */
function keyOfBundle({ config, sources }: ResolvedSettings, manifest: Manifest): CacheKey {
  if (config.pinnedKey !== null) return parseKey(config.pinnedKey, "B10_CACHE_KEY");
  if (sources.namespace === "default") return parseKey(manifest.key, "the key in the file");
  return computeKey(config.namespace, manifest.environment);
}

/**
 * An archive says nothing of where it comes from but in its name.
 * @throws {CacheError} `bad_archive` where it is not of this pod's kind.
 */
function requireOwnArchive(
  { host }: System,
  name: string,
  { config }: ResolvedSettings,
  environment: Environment,
): void {
  const refuse = (problem: string): never => {
    throw new CacheError(
      "bad_archive",
      `Cannot import ${
        quote(name)
      } as ${problem}; import it on a pod of the kind that saved it, or name the key ` +
        "that it is for with --key",
    );
  };
  if (config.foreign === "off") {
    throw new CacheError("bad_archive", `Cannot import ${quote(name)} as B10_CACHE_FOREIGN is off`);
  }
  const own = foreignKey(environment, host.platform);
  if ("problem" in own) return refuse(own.problem);
  const key = archiveKey(name);
  if (key === undefined) return refuse("its name is not cache_<16 hex digits>.latest.tar.gz");
  if (key !== own.key) return refuse(`it is for b10-transfer's key ${key}, and this pod's is ${own.key}`);
}
