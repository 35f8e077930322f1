/** The FILE of `export` and `import`: which format it is of, and where it lies. */
import { resolve } from "node:path/posix";
import { confinePath, pathRules } from "../confine.ts";
import { errnoOf, UsageError } from "../errors.ts";
import type { FileFormat } from "../export.ts";
import type { ResolvedSettings } from "../pod.ts";
import type { System } from "../system.ts";
import { quote } from "../text.ts";

const formats = { native: ".tar.zst", "b10-transfer": ".tar.gz" } as const satisfies Record<
  FileFormat,
  string
>;

/** By the option, else by how the name ends. @throws {UsageError} where neither tells. */
export function fileFormat(word: string, option: string | undefined): FileFormat {
  if (option !== undefined) {
    const known = Object.keys(formats).find((format): format is FileFormat => format === option);
    if (known) return known;
    throw new UsageError(
      `Cannot use --format ${quote(option)} as it must be one of ${Object.keys(formats).join(", ")}`,
    );
  }
  if (word.endsWith(formats.native)) return "native";
  if (word.endsWith(formats["b10-transfer"])) return "b10-transfer";
  throw new UsageError(
    `Cannot tell the format of ${quote(word)}: name it …${formats.native}, or …${
      formats["b10-transfer"]
    } for ` +
      "b10-transfer's, or give --format",
  );
}

/** The real path of a file that is there, or will be. @throws {CacheError} `path_outside_prefix` */
export async function confineFile(
  system: System,
  { config, pod }: ResolvedSettings,
  word: string,
): Promise<string> {
  return await confinePath(
    system.fs,
    resolve(system.host.workingDir, word),
    pathRules(config, pod).transferFile,
  );
}

/** `word` names a directory, in which a file gets a name of its own. */
export async function isDirectory(system: System, word: string): Promise<boolean> {
  if (word.endsWith("/")) return true;
  try {
    return (await system.fs.stat(resolve(system.host.workingDir, word))).kind === "directory";
  } catch (error) {
    if (errnoOf(error) !== undefined) return false;
    throw error;
  }
}
