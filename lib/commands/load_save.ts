/** The commands `load` and `save`: one operation, one status. */
import { CacheError } from "../errors.ts";
import { load } from "../load.ts";
import type { LoadOutcome, Operation, SaveOutcome } from "../operation.ts";
import {
  confineRoots,
  confineStore,
  createRoots,
  createStoreDir,
  identify,
  type Identity,
  putUpFence,
  refuseStoreInRoots,
  type ResolvedSettings,
  resolveSettings,
  type RootSelection,
} from "../pod.ts";
import type { CacheRoot } from "../roots.ts";
import { save } from "../save.ts";
import { reportError, reportOutcome } from "../status.ts";
import { openOrCreateStore, openStore } from "../store/directory.ts";
import { type CommandContext, type CommonFlags, finish, printReport, settingsLog } from "./context.ts";
import { interruptible } from "./interruption.ts";

export interface LoadSaveFlags extends CommonFlags {
  /** VLLM_CACHE_ROOT instead of TORCHINDUCTOR_CACHE_DIR. */
  readonly vllm?: boolean;
  /** The command whose Python decides the key: `run` passes its own on. */
  readonly forCommand?: string;
}

interface Prepared {
  readonly settings: ResolvedSettings;
  readonly identity: Identity;
  readonly roots: readonly CacheRoot[];
  readonly storeDir: string;
}

export function loadCommand(context: CommandContext, flags: LoadSaveFlags): Promise<number> {
  return operate(context, flags, {
    name: "load",
    createDirectories: async ({ roots }) => await createRoots(context.system, roots),
    run: async (operation, { storeDir }) => await load(operation, await openStore(context.system, storeDir)),
  });
}

export function saveCommand(context: CommandContext, flags: LoadSaveFlags): Promise<number> {
  return operate(context, flags, {
    name: "save",
    createDirectories: async ({ settings, storeDir }) => {
      if (!settings.config.readOnly) await createStoreDir(context.system, storeDir, settings);
    },
    run: (operation, { storeDir }) => save(operation, () => openOrCreateStore(context.system, storeDir)),
  });
}

interface Work {
  readonly name: "load" | "save";
  readonly createDirectories: (prepared: Prepared) => Promise<void>;
  readonly run: (operation: Operation, prepared: Prepared) => Promise<LoadOutcome | SaveOutcome>;
}

async function operate(context: CommandContext, flags: LoadSaveFlags, work: Work): Promise<number> {
  const { system } = context;
  const startedMs = system.clock.monotonicMs();
  const about = (key?: string) => ({
    operation: work.name,
    elapsedMs: system.clock.monotonicMs() - startedMs,
    ...(key === undefined ? {} : { key }),
  });
  let prepared: Prepared;
  try {
    prepared = await prepare(context, flags, work);
  } catch (error) {
    return finish(context, reportError(error, about()));
  }
  const { key } = prepared.identity;
  const ended = await interruptible(system, deadlineOf(work.name, prepared.settings), async (signal) => {
    using progress = context.makeProgress(work.name);
    return await work.run(operationOf(context, prepared, { signal, progress: progress.update }), prepared);
  });
  switch (ended.kind) {
    case "done":
      return finish(context, reportOutcome(ended.value, about(key)));
    case "failed":
      return finish(context, reportError(ended.error, about(key)));
    case "interrupted":
      printReport(context, reportError(ended.error, about(key)));
      return ended.exitStatus;
  }
  return ended satisfies never;
}

/** Settings, facts, directories, fence: in this order. */
async function prepare(context: CommandContext, flags: LoadSaveFlags, work: Work): Promise<Prepared> {
  const { system } = context;
  const settings = await resolveSettings(system, context.flagValues);
  const log = settingsLog(context, settings.config.logLevel);
  for (const text of settings.notices) log.warning(text);
  const selection: RootSelection = flags.vllm ? "vllm" : "torch";
  const roots = await confineRoots(system, settings, selection);
  const storeDir = await confineStore(system, settings);
  refuseStoreInRoots(roots, storeDir);
  const identity = await identify(
    system,
    settings,
    flags.forCommand === undefined ? undefined : [flags.forCommand],
  );
  for (const text of identity.notices) log.warning(text);
  const prepared = { settings, identity, roots, storeDir };
  await work.createDirectories(prepared);
  await requireUnmoved(context, prepared, selection);
  await putUpFence(system, [...roots.map((root) => root.dir), storeDir]);
  log.debug(
    `key ${identity.key}, store ${storeDir}, ${roots.map((root) => `${root.name} ${root.dir}`).join(", ")}`,
  );
  return prepared;
}

/** What was created must be what was checked: nobody has put a symlink in its place. */
async function requireUnmoved(
  context: CommandContext,
  prepared: Prepared,
  selection: RootSelection,
): Promise<void> {
  const again = await confineRoots(context.system, prepared.settings, selection);
  const store = await confineStore(context.system, prepared.settings);
  const moved = again.some((root, at) => root.dir !== prepared.roots[at]?.dir) || store !== prepared.storeDir;
  if (moved) throw new CacheError("confinement", "A cache directory was replaced while the program started");
}

function operationOf(
  context: CommandContext,
  { settings, identity, roots }: Prepared,
  control: Pick<Operation, "signal" | "progress">,
): Operation {
  const log = settingsLog(context, settings.config.logLevel);
  return {
    system: context.system,
    config: settings.config,
    environment: identity.environment,
    key: identity.key,
    roots,
    notice: (text) => log.warning(text),
    ...control,
  };
}

function deadlineOf(name: Work["name"], { config }: ResolvedSettings) {
  switch (name) {
    case "load":
      return {
        what: "the load",
        deadlineMs: config.loadTimeoutS * 1000,
        setting: "B10_CACHE_LOAD_TIMEOUT_S",
      };
    case "save":
      return {
        what: "the save",
        deadlineMs: config.saveTimeoutS * 1000,
        setting: "B10_CACHE_SAVE_TIMEOUT_S",
      };
  }
  return name satisfies never;
}
