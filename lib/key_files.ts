/** The files that keys are in: who may read and write them, and what they hold. Read before the fence is up. */
import { type Config, settingsTable } from "./config.ts";
import { CacheError, errnoOf, messageOf } from "./errors.ts";
import { KeyRefused, parsePrivateKey, parseTrustedKeys, type Signatures } from "./signatures.ts";
import type { FileStat, System } from "./system.ts";

/** A key has a few hundred bytes; a list of as many keys as there may be, with comments, a few thousand. */
const maxKeyFileBytes = 64 * 1024;

/** What others may not do with a private key: anything. */
const privateMask = 0o077;
/** With a list of keys: write. */
const listMask = 0o022;

type KeySetting = "signingKeyFile" | "trustedKeysFile";

/**
 * The keys that the settings name.
 * @throws {CacheError} `bad_setting`, naming the file and the rule that it breaks.
 */
export async function readSignatures(
  system: Pick<System, "fs" | "host">,
  { signingKeyFile, trustedKeysFile }: Config,
): Promise<Signatures> {
  const signer = signingKeyFile === null ? undefined : await readKeys(
    system,
    { setting: "signingKeyFile", path: signingKeyFile, mask: privateMask, who: "read or write" },
    parsePrivateKey,
  );
  const trusted = trustedKeysFile === null ? undefined : await readKeys(
    system,
    { setting: "trustedKeysFile", path: trustedKeysFile, mask: listMask, who: "write" },
    parseTrustedKeys,
  );
  if (signer && trusted && !trusted.keyIds.includes(signer.keyId)) {
    throw new CacheError(
      "bad_setting",
      `Cannot use B10_CACHE_SIGNING_KEY_FILE "${signingKeyFile}" as its key ${signer.keyId} must be among those of ` +
        `B10_CACHE_TRUSTED_KEYS_FILE "${trustedKeysFile}", which are ${
          trusted.keyIds.join(", ")
        }: what it signs ` +
        "would count nowhere",
    );
  }
  return { ...(signer ? { signer } : {}), ...(trusted ? { trusted } : {}) };
}

interface KeyFile {
  readonly setting: KeySetting;
  readonly path: string;
  /** Permission bits that must be off. */
  readonly mask: number;
  /** What these bits would let others do. */
  readonly who: string;
}

async function readKeys<T>(
  { fs, host }: Pick<System, "fs" | "host">,
  keyFile: KeyFile,
  parse: (text: string) => T,
): Promise<T> {
  const { path } = keyFile;
  const refuse = (rule: string, cause?: unknown): never => refuseKeyFile(keyFile, rule, cause);
  try {
    const file = await fs.open(path, "r");
    try {
      const stat = await file.stat();
      const rule = brokenRule(stat, { ...keyFile, uid: host.uid });
      if (rule !== undefined) return refuse(rule);
      const bytes = new Uint8Array(stat.size);
      for (let filled = 0, count = 1; filled < bytes.length && count > 0; filled += count) {
        count = await file.read(bytes.subarray(filled), filled);
      }
      return parse(new TextDecoder().decode(bytes));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CacheError) throw error;
    if (error instanceof KeyRefused) return refuse(error.message, error);
    return refuse(`be readable: ${errnoOf(error) ?? messageOf(error)}`, error);
  }
}

/** Judged by what was opened, not by what has the name. */
function brokenRule(
  stat: FileStat,
  { mask, who, uid }: Pick<KeyFile, "mask" | "who"> & { uid: number },
): string | undefined {
  if (stat.kind !== "file") return "be a regular file";
  if (stat.uid !== uid && stat.uid !== 0) return "belong to this user or to root";
  if ((stat.mode & mask) !== 0) {
    return `be nobody else's to ${who}, and its mode is 0${stat.mode.toString(8)}: chmod ${
      (stat.mode & ~mask).toString(8)
    } it`;
  }
  return stat.size > maxKeyFileBytes ? `have ${maxKeyFileBytes} bytes at most` : undefined;
}

function refuseKeyFile({ setting, path }: KeyFile, rule: string, cause: unknown): never {
  throw new CacheError(
    "bad_setting",
    `Cannot use ${settingsTable[setting].variable} "${path}" as it must ${rule}`,
    { cause },
  );
}
