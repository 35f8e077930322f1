/** The commands `load` and `save`: one operation, one status. */
import { whyNothingIsSaved } from "../config.ts";
import { CacheError } from "../errors.ts";
import { readSignatures } from "../key_files.ts";
import { loadAny } from "../load_any.ts";
import type { LoadOutcome, Operation, SaveOutcome } from "../operation.ts";
import { enterFence, putUpFence } from "../fence.ts";
import {
  confineStore,
  createRoots,
  createStoreDir,
  identify,
  type Identity,
  removeEmptyDirectories,
  requireKnownFileSystem,
  type ResolvedSettings,
} from "../pod.ts";
import { confineRoots, refuseStoreInRoots } from "../pod_roots.ts";
import { stateDir } from "../state_dir.ts";
import { PodState } from "../pod_state.ts";
import { openOrCreatePodStore, openPodStore } from "../pod_store.ts";
import type { CacheRoot } from "../roots.ts";
import { save } from "../save.ts";
import type { Signatures } from "../signatures.ts";
import { reportOutcome } from "../status.ts";
import type { System } from "../system.ts";
import { bounded } from "./bounded.ts";
import { type RootChoice, rootChoice, type RootFlags } from "./root_choice.ts";
import { type CommandContext, type CommonFlags, createContext, settingsLog } from "./context.ts";
import { settle, settleStore } from "./settle.ts";

export interface LoadSaveFlags extends CommonFlags, RootFlags {
  /** The command whose Python decides the key: `run` passes its own on. */
  readonly forCommand?: string;
  /** Of a save that a server's start asks for: seconds until it was ready without a cache. */
  readonly coldStart?: string;
  /** The content ID of the suspect without which it got ready. */
  readonly replacedSuspect?: string;
}

interface Chosen {
  readonly settings: ResolvedSettings;
  readonly identity: Identity;
  readonly roots: readonly CacheRoot[];
  readonly storeDir: string;
}

/** What is settled before the fence is up: plain JSON. */
interface SettledOutside extends Chosen {
  /** Of this pod's own state, where it has a place. */
  readonly stateDir?: string;
}

/** A load or save that goes on inside the fence. */
interface Prepared extends SettledOutside {
  readonly signatures: Signatures;
  /** Directories that were not there before. */
  readonly made: readonly string[];
}

/**
 * What a load or save goes on with in the process that the kernel has fenced in: nothing is found out, checked and said
 * twice. Keys are not in it, as an environment can be read by others of this user.
 */
export interface Carried {
  readonly operation: "load" | "save";
  readonly flags: LoadSaveFlags;
  readonly settled: SettledOutside;
}

/** @param carried what was handed over by this same program. */
export function isCarriedOperation(carried: unknown): carried is Carried {
  return typeof carried === "object" && carried !== null && "operation" in carried && "settled" in carried;
}

export function loadCommand(context: CommandContext, flags: LoadSaveFlags): Promise<number> {
  return operate(context, flags, loadWork);
}

export function saveCommand(context: CommandContext, flags: LoadSaveFlags): Promise<number> {
  return operate(context, flags, saveWork);
}

/** Goes on with what was settled outside the fence. @returns the exit status. */
export async function resumeOperation(
  system: System,
  { operation, flags, settled }: Carried,
): Promise<number> {
  const context = await createContext(system, flags);
  return await operate(context, flags, operation === "load" ? loadWork : saveWork, settled);
}

interface Work {
  readonly name: "load" | "save";
  /** @returns the local directories that it made. */
  readonly createDirectories: (system: System, chosen: Chosen) => Promise<readonly string[]>;
  readonly run: (operation: Operation, prepared: Prepared) => Promise<LoadOutcome | SaveOutcome>;
}

const loadWork: Work = {
  name: "load",
  createDirectories: (system, { roots }) => createRoots(system, roots),
  run: async (operation, { storeDir, signatures }) =>
    await loadAny(operation, {
      store: await openPodStore(operation.system, storeDir, signatures),
      storeDir,
    }),
};

const saveWork: Work = {
  name: "save",
  createDirectories: async (system, { settings, storeDir }) => {
    if (whyNothingIsSaved(settings.config) !== undefined) return [];
    requireKnownFileSystem(system, storeDir, settings);
    await createStoreDir(system, storeDir, settings);
    return [];
  },
  run: (operation, { storeDir, signatures }) =>
    save(operation, () => openOrCreatePodStore(operation.system, storeDir, signatures)),
};

/** @param settled in a process inside the fence, what the one outside has settled. */
function operate(
  context: CommandContext,
  flags: LoadSaveFlags,
  work: Work,
  settled?: SettledOutside,
): Promise<number> {
  const choice = rootChoice(flags);
  let key: string | undefined;
  return bounded(context, {
    operation: work.name,
    deadline: work.name,
    known: () => (key === undefined ? {} : { key }),
    act: async ({ signal, elapsedMs }) => {
      const prepared = settled
        ? await goOn(context, settled)
        : await prepare(context, { flags, choice }, work);
      key = prepared.identity.key;
      using progress = context.makeProgress(work.name);
      const operation = {
        ...operationOf(context, prepared, { signal, progress: progress.update }),
        ...aboutStart(flags),
      };
      try {
        const outcome = await work.run(operation, prepared);
        return reportOutcome(outcome, { operation: work.name, elapsedMs: elapsedMs(), key });
      } finally {
        await removeEmptyDirectories(context.system, prepared.made);
      }
    },
  });
}

/**
 * Settings, facts, directories, fence: in this order. Inside the fence as well, where what was settled outside was too long to
 * be handed over.
 */
async function prepare(
  context: CommandContext,
  { flags, choice }: { flags: LoadSaveFlags; choice: RootChoice },
  work: Work,
): Promise<Prepared> {
  const { system } = context;
  const settled = await settle(context);
  const { settings, log } = settled;
  const roots = await confineRoots(system, settings, choice.selection, {
    extra: choice.extra,
    notice: (text) => log.debug(text),
  });
  const storeDir = await settleStore(context, settled);
  refuseStoreInRoots(roots, storeDir);
  const signatures = await readSignatures(system, settings.config, { storeDir, roots });
  const identity = await identify(system, settings, flags.forCommand);
  for (const text of identity.notices) log.warning(text);
  const chosen = { settings, identity, roots, storeDir };
  // Inside they are there already; one that another load found empty, and removed, is missed by nobody.
  const created = system.sandbox.isInside ? [] : await work.createDirectories(system, chosen);
  if (!system.sandbox.isInside) await requireUnmoved(context, chosen, choice);
  const demands = signatures.trusted !== undefined && whyStoreIsUnseen(work, settings) === undefined;
  // A save only asks what a load recorded; where signatures are demanded it records what it has seen itself.
  const state = await stateDir(system, settings, { roots, create: work.name === "load" || demands });
  if (!system.sandbox.isInside) {
    if (demands && state.missedRollback !== undefined) {
      log.warning(`a rollback of the store would not be noticed: ${state.missedRollback}`);
    } else if (state.notice !== undefined && work.name === "load") {
      if (settings.sources.workDir === "default") log.debug(state.notice);
      else log.info(state.notice);
    }
  }
  const kept: SettledOutside = { ...chosen, ...(state.dir === undefined ? {} : { stateDir: state.dir }) };
  const carried: Carried = { operation: work.name, flags, settled: kept };
  const made = enterFence(system, fencedDirs(kept), { made: created, carried });
  return await inside(context, { ...kept, signatures, made });
}

/** In the process inside the fence that has been handed everything. */
async function goOn(context: CommandContext, settled: SettledOutside): Promise<Prepared> {
  const { system } = context;
  const signatures = await readSignatures(system, settled.settings.config, settled);
  const made = enterFence(system, fencedDirs(settled));
  return await inside(context, { ...settled, signatures, made });
}

/** The directories that are written to. */
function fencedDirs({ roots, storeDir, stateDir }: SettledOutside): readonly string[] {
  return [...roots.map((root) => root.dir), storeDir, ...(stateDir === undefined ? [] : [stateDir])];
}

async function inside(context: CommandContext, prepared: Prepared): Promise<Prepared> {
  const { settings, identity, storeDir, roots } = prepared;
  await putUpFence(context.system, fencedDirs(prepared));
  settingsLog(context, settings.config.logLevel).debug(
    `key ${identity.key}, store ${storeDir}, ${roots.map((root) => `${root.name} ${root.dir}`).join(", ")}`,
  );
  return prepared;
}

/** @returns why the store is not even looked at, if that is so. */
function whyStoreIsUnseen({ name }: Work, { config }: ResolvedSettings): string | undefined {
  return name === "save" ? whyNothingIsSaved(config) : undefined;
}

/** What was created must be what was checked: nobody has put a symlink in its place. */
async function requireUnmoved(
  context: CommandContext,
  chosen: Chosen,
  { selection, extra }: RootChoice,
): Promise<void> {
  const again = await confineRoots(context.system, chosen.settings, selection, { extra });
  const store = await confineStore(context.system, chosen.settings);
  const moved = again.some((root, at) => root.dir !== chosen.roots[at]?.dir) || store !== chosen.storeDir;
  if (moved) throw new CacheError("confinement", "A cache directory was replaced while the program started");
}

/** What the program tells itself. */
function aboutStart({ coldStart, replacedSuspect }: LoadSaveFlags): Partial<Operation> {
  const coldStartS = Number(coldStart);
  return {
    ...(coldStart !== undefined && Number.isFinite(coldStartS) && coldStartS >= 0 ? { coldStartS } : {}),
    ...(replacedSuspect === undefined ? {} : { replacedSuspect }),
  };
}

function operationOf(
  context: CommandContext,
  { settings, identity, roots, storeDir, stateDir }: Prepared,
  control: Pick<Operation, "signal" | "progress">,
): Operation {
  const { system } = context;
  const log = settingsLog(context, settings.config.logLevel);
  return {
    system,
    config: settings.config,
    environment: identity.environment,
    key: identity.key,
    roots,
    storeDir,
    state: stateDir === undefined
      ? undefined
      : new PodState({ fs: system.disk, random: system.random }, stateDir),
    notice: (text) => log.warning(text),
    inform: (text) => log.info(text),
    ...control,
  };
}
