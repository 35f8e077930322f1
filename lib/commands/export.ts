/** The command `export`: one cache of the store becomes a file. */
import { CacheError } from "../errors.ts";
import { exportCache, type ExportOutcome, type FileFormat } from "../export.ts";
import { archiveName } from "../foreign/archive_name.ts";
import { foreignKey } from "../foreign/key.ts";
import { readSignatures } from "../key_files.ts";
import { putUpFence } from "../fence.ts";
import { identify, type Identity } from "../pod.ts";
import { openPodStore } from "../pod_store.ts";
import { type Report, reportOutcome } from "../status.ts";
import type { System } from "../system.ts";
import { quote } from "../text.ts";
import { bounded } from "./bounded.ts";
import type { CommandContext } from "./context.ts";
import { confineFile, fileFormat, isDirectory } from "./file_argument.ts";
import type { LoadSaveFlags } from "./load_save.ts";
import { settle, settleStore } from "./settle.ts";

export interface TransferFlags extends LoadSaveFlags {
  readonly format?: string;
  readonly force?: boolean;
}

export function exportCommand(
  context: CommandContext,
  flags: TransferFlags,
  words: readonly string[],
): Promise<number> {
  const [word = ""] = words;
  const format = fileFormat(word, flags.format);
  const known: { key?: string; file?: string; format?: string } = {};
  return bounded(context, {
    operation: "export",
    deadline: "save",
    known: () => known,
    act: async ({ signal, elapsedMs }): Promise<Report> => {
      const { system } = context;
      const settled = await settle(context);
      const { settings, log } = settled;
      const identity = await identify(system, settings);
      const path = await confineFile(system, settings, await fileName(system, { word, format, identity }));
      Object.assign(known, { key: identity.key, file: path, format });
      const storeDir = await settleStore(context, settled);
      const signatures = await readSignatures(system, settings.config, { storeDir, roots: [] });
      await putUpFence(system, [...new Set([storeDir, directoryOf(path)])]);
      using progress = context.makeProgress("export");
      const outcome = await exportCache(
        {
          system,
          key: identity.key,
          signal,
          notice: (text) => log.warning(text),
          progress: progress.update,
        },
        await openPodStore(system, storeDir, signatures),
        { path, format, root: flags.vllm ? "vllm" : "inductor", replace: flags.force === true },
      );
      return report(outcome, { known, elapsedMs: elapsedMs(), path });
    },
  });
}

/** In a directory the file gets the name that its readers look for. */
async function fileName(
  system: System,
  { word, format, identity }: { word: string; format: FileFormat; identity: Identity },
): Promise<string> {
  if (!await isDirectory(system, word)) return word;
  if (format === "native") return `${word}/${identity.key}.tar.zst`;
  const found = foreignKey(identity.environment, system.host.platform);
  if ("key" in found) return `${word}/${archiveName(found.key)}`;
  throw new CacheError(
    "bad_setting",
    `Cannot name b10-transfer's archive in ${quote(word)} as ${found.problem}; give the file's whole name`,
  );
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function report(
  outcome: ExportOutcome,
  { known, elapsedMs, path }: { known: { key?: string }; elapsedMs: number; path: string },
): Report {
  const about = { operation: "export", elapsedMs, ...(known.key === undefined ? {} : { key: known.key }) };
  const reported = { ...known, ...reportOutcome(outcome, about) };
  return outcome.status === "SUCCESS"
    ? { ...reported, message: `${reported.message}, to ${quote(path)}` }
    : reported;
}
