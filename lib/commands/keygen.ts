/** The command `keygen FILE`: a new key pair, FILE and FILE.pub. Touches no cache. */
import { dirname, resolve } from "node:path/posix";
import { CacheError, errnoOf } from "../errors.ts";
import { localError } from "../local_error.ts";
import { keyPairOf } from "../signatures.ts";
import type { Report } from "../status.ts";
import type { System } from "../system.ts";
import { quote } from "../text.ts";
import { bounded } from "./bounded.ts";
import type { CommandContext } from "./context.ts";
import { isDirectory } from "./file_argument.ts";

/** Of the files in a directory that was named instead of a file. */
const defaultName = "b10-compile-cache.key";

const privateMode = 0o600;
const publicMode = 0o644;

/** What an Ed25519 key is made of. */
const seedBytes = 32;

export function keygenCommand(context: CommandContext, words: readonly string[]): Promise<number> {
  const { system } = context;
  const [word = ""] = words;
  return bounded(context, {
    operation: "keygen",
    deadline: "load",
    act: async ({ elapsedMs }): Promise<Report> => {
      const named = resolve(system.host.workingDir, word);
      const file = await isDirectory(system, word) ? `${named}/${defaultName}` : named;
      const { keyId, privateFile, publicFile } = keyPairOf(system.random.hex(seedBytes));
      await put(system, { path: file, text: privateFile, mode: privateMode });
      try {
        await put(system, { path: `${file}.pub`, text: publicFile, mode: publicMode });
      } catch (error) {
        // Half a pair is none.
        await system.fs.unlink(file).catch(() => {});
        throw error;
      }
      return {
        operation: "keygen",
        status: "SUCCESS",
        key_id: keyId,
        file,
        public_file: `${file}.pub`,
        elapsed_ms: Math.round(elapsedMs()),
        message: `key ${keyId}: sign with B10_CACHE_SIGNING_KEY_FILE=${quote(file)}; what is in ${
          quote(`${file}.pub`)
        } goes into B10_CACHE_TRUSTED_KEYS_FILE`,
      };
    },
  });
}

/** Whole or not at all, and only where nothing has the name. */
async function put(
  { fs, random }: System,
  { path, text, mode }: { path: string; text: string; mode: number },
): Promise<void> {
  const temporary = `${path}.${random.hex(8)}.tmp`;
  try {
    const file = await fs.open(temporary, "wx");
    try {
      try {
        // Before there is anything to read in it.
        await file.chmod(mode);
        await file.append(new TextEncoder().encode(text));
        await file.sync();
      } finally {
        await file.close();
      }
      await fs.link(temporary, path);
    } finally {
      await fs.unlink(temporary);
    }
  } catch (error) {
    const rule = brokenRule(path, errnoOf(error));
    if (rule === undefined) throw localError("write", path, error);
    throw new CacheError("local_io", `Cannot write ${quote(path)} as ${rule}`, { cause: error });
  }
}

/** What to do about the failures that somebody causes who names a file. */
function brokenRule(path: string, errno: string | undefined): string | undefined {
  const dir = quote(dirname(path));
  switch (errno) {
    case "EEXIST":
      return "it is there already, and a key is never replaced";
    case "ENOENT":
    case "ENOTDIR":
      return `its directory ${dir} must be there (${errno}): make it, for this user alone, or name another file`;
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return `this user must be allowed to write to its directory ${dir} (${errno}): name a file in another one`;
    default:
      return undefined;
  }
}
