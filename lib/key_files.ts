/**
 * The files that keys are in: where they may lie, who may read and write them, and what they hold. Read before the fence
 * is up.
 */
import { basename, dirname } from "node:path/posix";
import { type Config, settingsTable } from "./config.ts";
import { CacheError, errnoOf, messageOf } from "./errors.ts";
import { isBelow } from "./paths.ts";
import type { CacheRoot } from "./roots.ts";
import { KeyRefused, parsePrivateKey, parseTrustedKeys, type Signatures } from "./signatures.ts";
import type { FileStat, FileSystem, Host, System } from "./system.ts";
import { quote } from "./text.ts";

/** A key has a few hundred bytes; a list of as many keys as there may be, with comments, a few thousand. */
const maxKeyFileBytes = 64 * 1024;

/** What others may not do with a private key: anything. */
const privateMask = 0o077;
/** With a list of keys: write. */
const listMask = 0o022;
/** With a private key of root's that a group of this process may read. */
const groupSecretMask = 0o037;

/** Where no key may lie, by real paths: the store, and the caches that are in use. */
export interface KeylessPlaces {
  readonly storeDir: string;
  readonly roots: readonly CacheRoot[];
}

type World = Pick<System, "fs" | "host">;

/**
 * The keys that the settings name.
 * @throws {CacheError} `bad_setting`, naming the file and the rule that it breaks.
 */
export async function readSignatures(
  world: World,
  { signingKeyFile, trustedKeysFile }: Config,
  keyless: KeylessPlaces,
): Promise<Signatures> {
  const signer = signingKeyFile === null
    ? undefined
    : await readKeys(world, keyless, signingKey(signingKeyFile), parsePrivateKey);
  const trusted = trustedKeysFile === null
    ? undefined
    : await readKeys(world, keyless, trustedKeys(trustedKeysFile), parseTrustedKeys);
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
  readonly setting: "signingKeyFile" | "trustedKeysFile";
  readonly path: string;
  /** The rule about its permissions that it breaks, if it does. */
  readonly brokenModeRule: (stat: FileStat, host: Host) => string | undefined;
  /** The rule that it breaks by holding the other kind of key. Never shows what it holds. */
  readonly mistakenRule: (text: string) => string | undefined;
  /** What to do where it is not there. */
  readonly whereFrom: string;
}

function signingKey(path: string): KeyFile {
  return {
    setting: "signingKeyFile",
    path,
    brokenModeRule: (stat, host) =>
      (stat.mode & privateMask) === 0 || isGroupSecret(stat, host)
        ? undefined
        : modeRule("be nobody else's to read or write", stat, privateMask),
    mistakenRule: (text) =>
      holdsPublicKeys(text)
        ? "hold this pod's private key, and it holds a public one: that is for B10_CACHE_TRUSTED_KEYS_FILE; of the two " +
          "files that keygen makes, name the one without .pub"
        : undefined,
    whereFrom: "mount it there, or make one with `b10-compile-cache keygen`",
  };
}

function trustedKeys(path: string): KeyFile {
  return {
    setting: "trustedKeysFile",
    path,
    brokenModeRule: (stat) =>
      (stat.mode & listMask) === 0 ? undefined : modeRule("be nobody else's to write", stat, listMask),
    mistakenRule: (text) =>
      /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)
        ? "hold public Ed25519 keys alone, and it holds a private one: of the two files that keygen makes, name the one " +
          "with .pub"
        : undefined,
    whereFrom: "mount it there; it holds the FILE.pub of each key that `b10-compile-cache keygen FILE` made",
  };
}

/**
 * A file of root's that a group of this process may read: what Kubernetes makes of a Secret for a pod with an fsGroup,
 * whatever mode the volume asks for (kubernetes/kubernetes#57923), and the only way that one has to a pod of another
 * user than root. Root's own group is no such group: it is on every machine.
 */
function isGroupSecret({ uid, gid, mode }: FileStat, host: Host): boolean {
  return uid === 0 && gid !== 0 && (mode & groupSecretMask) === 0 && host.groupIds().includes(gid);
}

function modeRule(rule: string, { uid, gid, mode }: FileStat, mask: number): string {
  const inKubernetes = uid === 0 ? ` (a Secret's volume in Kubernetes: defaultMode: 0400)` : "";
  const whose = gid === 0 ? "" : ` and its group ${gid}`;
  return `${rule}, and its mode is 0${mode.toString(8)}${whose}: chmod ${
    (mode & ~mask).toString(8)
  } it${inKubernetes}`;
}

function holdsPublicKeys(text: string): boolean {
  try {
    parseTrustedKeys(text);
    return true;
  } catch {
    return false;
  }
}

async function readKeys<T>(
  { fs, host }: World,
  keyless: KeylessPlaces,
  keyFile: KeyFile,
  parse: (text: string) => T,
): Promise<T> {
  const { path, brokenModeRule, mistakenRule } = keyFile;
  const refuse = (rule: string, cause?: unknown): never => refuseKeyFile(keyFile, rule, cause);
  const hold = (rule: string | undefined) => rule === undefined || refuse(rule);
  try {
    hold(await misplacedRule(fs, path, keyless));
    const file = await fs.open(path, "r");
    try {
      // Judged by what was opened, not by what has the name.
      const stat = await file.stat();
      if (stat.kind !== "file") return refuse("be a regular file");
      if (stat.size > maxKeyFileBytes) return refuse(`have ${maxKeyFileBytes} bytes at most`);
      const bytes = new Uint8Array(stat.size);
      for (let filled = 0, count = 1; filled < bytes.length && count > 0; filled += count) {
        count = await file.read(bytes.subarray(filled), filled);
      }
      const text = new TextDecoder().decode(bytes);
      // First: the permissions of the wrong file need no mending.
      hold(mistakenRule(text));
      if (stat.uid !== host.uid && stat.uid !== 0) return refuse("belong to this user or to root");
      hold(brokenModeRule(stat, host));
      return parse(text);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CacheError) throw error;
    if (error instanceof KeyRefused) return refuse(error.message, error);
    return refuse(unreadableRule(error, keyFile, host), error);
  }
}

/** Neither the name nor what it leads to may lie where others write, or from where it would be saved. */
async function misplacedRule(
  fs: FileSystem,
  path: string,
  { storeDir, roots }: KeylessPlaces,
): Promise<string | undefined> {
  const named = `${await fs.realPath(dirname(path))}/${basename(path)}`;
  for (const real of [named, await fs.realPath(path)]) {
    const shown = real === path ? "" : ` (it is really ${quote(real)})`;
    if (isBelow(real, storeDir)) {
      return `lie outside the store, B10FS_CACHE_DIR ${
        quote(storeDir)
      }${shown}: whoever can write there could replace ` +
        "it; keep it on this pod, or in a secret of its own";
    }
    const root = roots.find(({ dir }) => isBelow(real, dir));
    if (root) {
      return `lie outside the ${root.name} cache ${
        quote(root.dir)
      }${shown}: a save stores all that lies there; keep it ` +
        "elsewhere, and if it is a private key and anything was saved since, make a new one: docs/signing.md";
    }
  }
  return undefined;
}

function unreadableRule(error: unknown, { whereFrom }: KeyFile, { uid }: Host): string {
  const errno = errnoOf(error);
  switch (errno) {
    case "ENOENT":
    case "ENOTDIR":
      return `be a file, and nothing is there (${errno}): ${whereFrom}`;
    case "EACCES":
    case "EPERM":
      return `be readable by this user, whose number is ${uid} (${errno}): give it to this user, or in Kubernetes to a ` +
        "group by an fsGroup, and let this user enter its directory";
    default:
      return `be readable: ${errno ?? messageOf(error)}; look at the disk that it is on`;
  }
}

function refuseKeyFile({ setting, path }: KeyFile, rule: string, cause: unknown): never {
  throw new CacheError(
    "bad_setting",
    `Cannot use ${settingsTable[setting].variable} "${path}" as it must ${rule}`,
    { cause },
  );
}
