/** The command `status`: what this pod is, what its settings are, what is here and what is in the store. */
import * as v from "valibot";
import type { JsonValue } from "../canonical_json.ts";
import { type Config, settingsTable } from "../config.ts";
import { CacheError, errnoOf, messageOf } from "../errors.ts";
import { archiveName } from "../foreign/archive_name.ts";
import { foreignKey } from "../foreign/key.ts";
import { whyForeignIsOff } from "../foreign/policy.ts";
import { listArchives } from "../foreign/shelf.ts";
import { findHead } from "../history.ts";
import { readSignatures } from "../key_files.ts";
import { localError } from "../local_error.ts";
import { openLocalFile } from "../local_file.ts";
import { putUpFence } from "../fence.ts";
import { identify, type Identity, requireKnownFileSystem, type ResolvedSettings } from "../pod.ts";
import { confineRoots, refuseStoreInRoots } from "../pod_roots.ts";
import { openPodStore } from "../pod_store.ts";
import type { Signatures } from "../signatures.ts";
import { shownUrl } from "../socket_url.ts";
import { stateDir, type StatePlace } from "../state_dir.ts";
import { writersOfStore } from "../store_writers.ts";
import type { CacheRoot } from "../roots.ts";
import type { FileSystem, System } from "../system.ts";
import { formatBytes } from "../text.ts";
import { walkTree } from "../tree.ts";
import { versionLine } from "../version.ts";
import { bounded } from "./bounded.ts";
import { type CommandContext, printLines } from "./context.ts";
import type { LoadSaveFlags } from "./load_save.ts";
import { type RootChoice, rootChoice } from "./root_choice.ts";
import { lastStartName } from "./server_start.ts";
import { settle, settleStore } from "./settle.ts";

export function statusCommand(context: CommandContext, flags: LoadSaveFlags): Promise<number> {
  const { system } = context;
  const choice = rootChoice(flags);
  const known: { [field: string]: JsonValue } = { program: versionLine, runtime: runtimeOf(system) };
  return bounded(context, {
    operation: "status",
    deadline: "load",
    known: () => {
      // What was found out before the failure is what the operator needs to mend it.
      if (!context.flags.json) printKnown(system, known);
      return known;
    },
    act: async ({ elapsedMs }) => {
      await findOut(context, { flags, choice }, known);
      if (!context.flags.json) printKnown(system, known);
      return {
        ...known,
        operation: "status",
        status: "SUCCESS",
        elapsed_ms: Math.round(elapsedMs()),
        message: "settings, pod and store are in order",
      };
    },
  });
}

async function findOut(
  context: CommandContext,
  { flags, choice: { selection, extra } }: { flags: LoadSaveFlags; choice: RootChoice },
  known: { [field: string]: JsonValue },
): Promise<void> {
  const { system } = context;
  const settled = await settle(context);
  const { settings, log } = settled;
  known["settings"] = describeSettings(settings);
  const identity = await identify(system, settings, flags.forCommand);
  known["key"] = identity.key;
  known["environment"] = { ...identity.environment };
  known["facts"] = identity.facts.map((fact) => ({ ...fact }));
  const notice = (text: string) => log.info(text);
  const roots = await confineRoots(system, settings, selection, { extra, notice });
  const storeDir = await settleStore(context, settled);
  refuseStoreInRoots(roots, storeDir);
  const signatures = await readSignatures(system, settings.config, { storeDir, roots });
  const state = await stateDir(system, settings, { roots, create: false });
  known["state_dir"] = state.dir ?? null;
  known["signatures"] = describeSignatures(signatures, state);
  known["last_start"] = await lastStartOf(system, settings);
  const loadOnly = whyLoadOnly(system, storeDir, settings);
  const dirs = [...roots.map((root) => root.dir), storeDir];
  const free = await freeSpace(system, dirs);
  known["fence"] = await putUpFence(system, dirs);
  known["local"] = await describeLocal(system, roots, free);
  known["store"] = {
    ...await describeStore(system, { storeDir, settings, identity, free, signatures }),
    load_only: loadOnly,
  };
  known["b10_transfer"] = await describeForeign(system, { storeDir, settings, identity });
}

/** Which keys count here; and, where signatures are demanded, whether a rollback would be noticed. */
function describeSignatures({ signer, trusted }: Signatures, state: StatePlace): JsonValue {
  const rollback = trusted
    ? { rollback_noticed: state.missedRollback === undefined, rollback_problem: state.missedRollback ?? null }
    : {};
  return {
    signing_key: signer?.keyId ?? null,
    trusted_keys: trusted ? [...trusted.keyIds] : null,
    ...rollback,
  };
}

/** A start is about every cache: where a state lies beside one of them it is not the one of torch's alone. */
async function lastStartOf(system: System, settings: ResolvedSettings): Promise<JsonValue> {
  try {
    const roots = await confineRoots(system, settings, "all");
    const { dir } = await stateDir(system, settings, { roots, create: false });
    return dir === undefined ? null : await readLastStart(system.fs, dir);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    return null;
  }
}

/** What the last start on this pod came to, as `run` or the automatic mode left it; null where there was none. */
async function readLastStart(fs: FileSystem, dir: string): Promise<JsonValue> {
  try {
    await using file = await openLocalFile(fs, `${dir}/${lastStartName}`);
    const text = new TextDecoder().decode(await file.read(0, Math.min(file.bytes, maxLastStartBytes)));
    return v.parse(v.record(v.string(), v.any()), JSON.parse(text));
  } catch {
    return null;
  }
}

/** What a load would find of b10-transfer's, if the store has no cache of its own. */
async function describeForeign(
  system: System,
  { storeDir, settings, identity: { environment } }: {
    storeDir: string;
    settings: ResolvedSettings;
    identity: Identity;
  },
): Promise<JsonValue> {
  const off = whyForeignIsOff(settings.config, environment) ?? null;
  const found = foreignKey(environment, system.host.platform);
  if ("problem" in found) return { key: null, problem: found.problem, off };
  const file = archiveName(found.key);
  const there = (await listArchives(system.fs, storeDir)).find(({ name }) => name === file);
  return {
    key: found.key,
    archive: there ? file : null,
    stored_bytes: there?.bytes ?? null,
    off,
  };
}

/** A few kilobytes. */
const maxLastStartBytes = 1024 * 1024;

/** @returns why nothing may be saved in this store, if that is so. */
function whyLoadOnly(system: System, storeDir: string, settings: ResolvedSettings): string | null {
  try {
    requireKnownFileSystem(system, storeDir, settings);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

function runtimeOf({ runtime }: System): string {
  return `${runtime.name} ${runtime.version}${runtime.compiled ? ", compiled" : ", from source"}`;
}

function describeSettings({ config, sources }: ResolvedSettings): JsonValue {
  const fields = Object.keys(settingsTable) as (keyof Config)[];
  return fields.map((field) => ({
    name: settingsTable[field].variable,
    value: field === "serverUrl" ? shownUrl(config[field]) : config[field],
    source: sources[field],
  }));
}

/** Free bytes where each of the directories is, or will be: by directory. */
type FreeSpace = ReadonlyMap<string, number>;

/** Asked before the fence is up: of a directory that is not there yet, the nearest one above it is asked. */
async function freeSpace({ fs }: System, dirs: readonly string[]): Promise<FreeSpace> {
  return new Map(await Promise.all(dirs.map(async (dir) => [dir, await freeBytesAt(fs, dir)] as const)));
}

async function freeBytesAt(fs: FileSystem, dir: string): Promise<number> {
  try {
    return await fs.freeBytes(dir);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" || dir === "/") throw localError("ask for the free space of", dir, error);
    return await freeBytesAt(fs, dir.slice(0, dir.lastIndexOf("/")) || "/");
  }
}

async function describeLocal(
  system: System,
  roots: readonly CacheRoot[],
  free: FreeSpace,
): Promise<JsonValue> {
  const described: JsonValue[] = [];
  for (const root of roots) {
    const { files, notices } = await walkTree(system.fs, [root]);
    const bytes = [...files.values()].reduce((sum, file) => sum + file.stat.size, 0);
    described.push({
      root: root.name,
      dir: root.dir,
      files: files.size,
      bytes,
      free_bytes: free.get(root.dir) ?? null,
      notices,
    });
  }
  return described;
}

async function describeStore(
  system: System,
  { storeDir, settings, identity, free, signatures }: {
    storeDir: string;
    settings: ResolvedSettings;
    identity: Identity;
    free: FreeSpace;
    signatures: Signatures;
  },
): Promise<{ [field: string]: JsonValue }> {
  const common = {
    dir: storeDir,
    shared: !settings.embeddedStore,
    free_bytes: free.get(storeDir) ?? null,
    writable_by: await writersOfStore(system, storeDir, identity.key),
  };
  const store = await openPodStore(system, storeDir, signatures);
  if (!store) return { ...common, store_id: null, generation: null };
  const { generation } = await findHead(store, identity.key);
  if (!generation) return { ...common, store_id: store.id, generation: null };
  const { layers, created_at, n } = generation.manifest;
  return {
    ...common,
    store_id: store.id,
    generation: n,
    layers: layers.length,
    files: layers.reduce((sum, layer) => sum + layer.files, 0),
    bytes: layers.reduce((sum, layer) => sum + layer.raw_bytes, 0),
    stored_bytes: layers.reduce((sum, layer) => sum + layer.bytes, 0),
    created_at,
    signed_by: [...generation.signedBy ?? []],
  };
}

/** The same as the JSON, for people. */
function printKnown(system: System, known: { readonly [field: string]: JsonValue }): void {
  const lines = Object.entries(known).flatMap(([field, value]) => renderField(field, value));
  printLines(system, lines.join("\n"));
}

function renderField(field: string, value: JsonValue): string[] {
  if (Array.isArray(value)) return [`${field}:`, ...value.map((item) => `  ${renderItem(item)}`)];
  if (typeof value === "object" && value !== null) {
    return [
      `${field}:`,
      ...Object.entries(value).map(([name, member]) => `  ${name}: ${renderValue(name, member)}`),
    ];
  }
  return [`${field}: ${renderValue(field, value)}`];
}

function renderItem(item: JsonValue): string {
  if (typeof item !== "object" || item === null || Array.isArray(item)) return renderValue("", item);
  const members = Object.entries(item);
  const [name, value, source] = members;
  // A setting or a fact: what it is, what it says, where that came from.
  if (name?.[0] === "name" && source?.[0] === "source") {
    return `${renderValue("", name[1])} = ${renderValue("", value?.[1] ?? null)} (${
      renderValue("", source[1])
    })`;
  }
  return members.map(([member, content]) => `${member} ${renderValue(member, content)}`).join(", ");
}

function renderValue(name: string, value: JsonValue): string {
  if (value === null) return "none";
  if (typeof value === "number" && name.endsWith("bytes")) return formatBytes(value);
  if (Array.isArray(value)) {
    return value.length === 0 ? "none" : value.map((item) => renderValue("", item)).join(", ");
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
