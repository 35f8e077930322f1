/**
 * Settings: the command line's flags and the environment become one readonly Config, by one table. Pure: what
 * the defaults depend on comes in as `PodDefaults`.
 */
import {
  absolutePath,
  fileSystemTypes,
  httpUrl,
  keyFilePath,
  notNegative,
  oneOf,
  type Parser,
  pathList,
  pattern,
  positiveNumber,
  RuleBroken,
  wholeNumber,
  yesOrNo,
} from "./config/parsers.ts";
import { quoteShort } from "./entry_rules.ts";
import { CacheError } from "./errors.ts";
import { namePattern } from "./names.ts";

/** Every setting, checked. Units are in the names; `null` stands for "not set". */
export interface Config {
  /** Where torch keeps its compile cache on this pod. */
  readonly torchCacheDir: string;
  /** Where vLLM keeps its own: what automatic and run mode save and restore. */
  readonly vllmCacheDir: string;
  /** The store shared by all replicas lies below this. */
  readonly storeDir: string;
  /** This pod's own state. */
  readonly workDir: string;
  readonly sharedCacheEnabled: boolean;
  readonly readOnly: boolean;
  readonly namespace: string;
  readonly pinnedKey: string | null;
  /** Whether b10-transfer's archives are restored: "auto" on GPU pods alone. */
  readonly foreign: ForeignPolicy;
  /** This pod's private key: what it saves is signed by it. */
  readonly signingKeyFile: string | null;
  /** Public keys: only what one of them has signed counts. */
  readonly trustedKeysFile: string | null;
  /** The Python whose torch, Triton and vLLM decide the key. */
  readonly python: string | null;
  readonly allowedPrefixes: readonly string[];
  readonly maxCacheSizeMb: number;
  readonly maxCacheSizeCapMb: number;
  readonly maxConcurrentSaves: number;
  readonly maxConcurrentSavesCap: number;
  readonly lockTimeoutS: number;
  readonly lockTimeoutCapS: number;
  readonly incompleteTimeoutS: number;
  readonly incompleteTimeoutCapS: number;
  readonly minLocalSpaceMb: number | null;
  readonly minStoreSpaceMb: number | null;
  readonly localSpaceMultiplier: number | null;
  readonly serverUrl: string;
  readonly serverTimeoutS: number;
  readonly serverIntervalS: number;
  /** A ready server's caches are saved once none of their files has changed for so long. */
  readonly quietS: number;
  /** They are saved after so long in any case. */
  readonly quietTimeoutS: number;
  /** How long what later requests compile is looked for; null: `run` for half an hour, automatic mode not at all. */
  readonly watchS: number | null;
  /** How often. */
  readonly watchIntervalS: number;
  readonly loadTimeoutS: number;
  readonly saveTimeoutS: number;
  /** About what a load may have in memory. */
  readonly loadMemoryMb: number;
  /** Of the commands that go through the whole store: verify and prune. */
  readonly maintenanceTimeoutS: number;
  /** A history with more layers is compacted. */
  readonly compactAfterLayers: number;
  /** One compaction rewrites at most this much, stored. */
  readonly compactBudgetMb: number;
  /** What nobody names stays this long before a prune removes it. */
  readonly pruneGraceS: number;
  /** Types of FUSE mounts on which the operator knows that two machines exclude each other. */
  readonly vouchedFileSystems: readonly string[];
  readonly logLevel: LogLevel;
}

export const logLevels = ["debug", "info", "warning", "error", "critical"] as const;
export type LogLevel = typeof logLevels[number];

export const foreignPolicies = ["auto", "on", "off"] as const;
export type ForeignPolicy = typeof foreignPolicies[number];

/** What this pod's defaults depend on; gathered by pod_defaults.ts. */
export interface PodDefaults {
  readonly homeDir: string;
  /** As torch computes it: see pod_defaults.ts. */
  readonly torchCacheDir: string;
  /** The b10cache mount is there. */
  readonly shareMounted: boolean;
}

export type Source = "flag" | "environment" | "default";

/** Values given on the command line, by field. They win over the environment. */
export type FlagValues = { readonly [F in keyof Config]?: string };

export interface Settings {
  readonly config: Config;
  readonly sources: { readonly [F in keyof Config]: Source };
  /** Things the user should know: a clamped value, an embedded store. */
  readonly notices: readonly string[];
}

interface Row<T> {
  readonly variable: string;
  readonly parse: Parser<T>;
  readonly byDefault: (pod: PodDefaults) => T;
  /** The value, right or wrong, in a message: for those that may hold a secret. */
  readonly show?: (text: string) => string;
}

/** The b10cache mount, where Baseten puts it. */
export const shareMountDir = "/cache/model";

const always = <T>(value: T) => (): T => value;

/** One row a field: the compiler rejects a field without one. */
export const settingsTable: { readonly [F in keyof Config]: Row<Config[F]> } = {
  torchCacheDir: {
    variable: "TORCHINDUCTOR_CACHE_DIR",
    parse: absolutePath,
    byDefault: (pod) => pod.torchCacheDir,
  },
  vllmCacheDir: {
    variable: "VLLM_CACHE_ROOT",
    parse: absolutePath,
    byDefault: (pod) => `${pod.homeDir}/.cache/vllm`,
  },
  storeDir: {
    variable: "B10FS_CACHE_DIR",
    parse: absolutePath,
    byDefault: (pod) => pod.shareMounted ? `${shareMountDir}/compile_cache` : embeddedStoreDir(pod),
  },
  workDir: { variable: "LOCAL_WORK_DIR", parse: absolutePath, byDefault: always("/app") },
  sharedCacheEnabled: { variable: "BASETEN_FS_ENABLED", parse: yesOrNo, byDefault: always(true) },
  readOnly: { variable: "B10_CACHE_READ_ONLY", parse: yesOrNo, byDefault: always(false) },
  namespace: { variable: "B10_CACHE_NAMESPACE", parse: pattern(namePattern), byDefault: always("default") },
  pinnedKey: { variable: "B10_CACHE_KEY", parse: pattern(namePattern), byDefault: always(null) },
  foreign: { variable: "B10_CACHE_FOREIGN", parse: oneOf(foreignPolicies), byDefault: always("auto") },
  signingKeyFile: {
    variable: "B10_CACHE_SIGNING_KEY_FILE",
    parse: keyFilePath,
    byDefault: always(null),
    show: shownKeyFile,
  },
  trustedKeysFile: {
    variable: "B10_CACHE_TRUSTED_KEYS_FILE",
    parse: keyFilePath,
    byDefault: always(null),
    show: shownKeyFile,
  },
  python: { variable: "B10_CACHE_PYTHON", parse: absolutePath, byDefault: always(null) },
  allowedPrefixes: { variable: "B10_CACHE_ALLOWED_PREFIXES", parse: pathList, byDefault: always([]) },
  maxCacheSizeMb: { variable: "MAX_CACHE_SIZE_MB", parse: wholeNumber(1), byDefault: always(1024) },
  maxCacheSizeCapMb: { variable: "MAX_CACHE_SIZE_CAP_MB", parse: wholeNumber(1), byDefault: always(1024) },
  maxConcurrentSaves: { variable: "MAX_CONCURRENT_SAVES", parse: wholeNumber(1), byDefault: always(50) },
  maxConcurrentSavesCap: {
    variable: "MAX_CONCURRENT_SAVES_CAP",
    parse: wholeNumber(1),
    byDefault: always(100),
  },
  lockTimeoutS: { variable: "CLEANUP_LOCK_TIMEOUT_SECONDS", parse: wholeNumber(1), byDefault: always(30) },
  lockTimeoutCapS: { variable: "LOCK_TIMEOUT_CAP_SECONDS", parse: wholeNumber(1), byDefault: always(3600) },
  incompleteTimeoutS: {
    variable: "CLEANUP_INCOMPLETE_TIMEOUT_SECONDS",
    parse: wholeNumber(1),
    byDefault: always(60),
  },
  incompleteTimeoutCapS: {
    variable: "INCOMPLETE_TIMEOUT_CAP_SECONDS",
    parse: wholeNumber(1),
    byDefault: always(7200),
  },
  minLocalSpaceMb: { variable: "MIN_LOCAL_SPACE_MB", parse: wholeNumber(0), byDefault: always(null) },
  minStoreSpaceMb: { variable: "MIN_B10FS_SPACE_MB", parse: wholeNumber(0), byDefault: always(null) },
  localSpaceMultiplier: {
    variable: "LOCAL_SPACE_ARCHIVE_MULTIPLIER",
    parse: positiveNumber,
    byDefault: always(null),
  },
  serverUrl: {
    variable: "B10_TRANSFER_VLLM_URL",
    parse: httpUrl,
    byDefault: always("http://127.0.0.1:8000/v1/models"),
    show: shownAddress,
  },
  serverTimeoutS: { variable: "B10_TRANSFER_TIMEOUT_S", parse: positiveNumber, byDefault: always(1800) },
  serverIntervalS: { variable: "B10_TRANSFER_INTERVAL_S", parse: positiveNumber, byDefault: always(2) },
  quietS: { variable: "B10_CACHE_QUIET_S", parse: notNegative, byDefault: always(5) },
  quietTimeoutS: { variable: "B10_CACHE_QUIET_TIMEOUT_S", parse: notNegative, byDefault: always(60) },
  watchS: { variable: "B10_CACHE_WATCH_S", parse: notNegative, byDefault: always(null) },
  watchIntervalS: { variable: "B10_CACHE_WATCH_INTERVAL_S", parse: positiveNumber, byDefault: always(60) },
  loadTimeoutS: { variable: "B10_CACHE_LOAD_TIMEOUT_S", parse: positiveNumber, byDefault: always(60) },
  saveTimeoutS: { variable: "B10_CACHE_SAVE_TIMEOUT_S", parse: positiveNumber, byDefault: always(600) },
  loadMemoryMb: { variable: "B10_CACHE_LOAD_MEMORY_MB", parse: wholeNumber(1), byDefault: always(256) },
  maintenanceTimeoutS: {
    variable: "B10_CACHE_MAINTENANCE_TIMEOUT_S",
    parse: positiveNumber,
    byDefault: always(3600),
  },
  compactAfterLayers: { variable: "B10_CACHE_COMPACT_AFTER", parse: wholeNumber(2), byDefault: always(16) },
  compactBudgetMb: { variable: "B10_CACHE_COMPACT_BUDGET_MB", parse: wholeNumber(1), byDefault: always(256) },
  pruneGraceS: {
    variable: "B10_CACHE_PRUNE_GRACE_S",
    parse: positiveNumber,
    byDefault: always(24 * 60 * 60),
  },
  vouchedFileSystems: {
    variable: "B10_CACHE_VOUCHED_FILE_SYSTEMS",
    parse: fileSystemTypes,
    byDefault: always([]),
  },
  logLevel: { variable: "B10_TRANSFER_CLI_LOGLEVEL", parse: oneOf(logLevels), byDefault: always("info") },
};

/** Which setting limits which. */
const caps = [
  ["maxCacheSizeMb", "maxCacheSizeCapMb"],
  ["maxConcurrentSaves", "maxConcurrentSavesCap"],
  ["lockTimeoutS", "lockTimeoutCapS"],
  ["incompleteTimeoutS", "incompleteTimeoutCapS"],
] as const;

/** Where the store lies on a pod without a shared mount: this pod alone uses it. */
export function embeddedStoreDir(pod: PodDefaults): string {
  return `${pod.homeDir}/.cache/b10-compile-cache/store`;
}

/** A key that was taken for the name of its file must not get into a log. */
function shownKeyFile(text: string): string {
  return /^\/[^\r\n]*$/.test(text) ? quoteShort(text) : "(its value is not shown, as it may be a key itself)";
}

/** Who asks, and a query, may be secrets: in a wrong address nobody can tell where they end. */
function shownAddress(text: string): string {
  return /[@?#]/.test(text) ? "(its value is not shown, as it may hold a secret)" : quoteShort(text);
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads every setting. An empty string counts as unset.
 * @throws {CacheError} `bad_setting`, naming every variable that breaks its rule, its value and the rule.
 */
export function readSettings(input: { flags: FlagValues; env: Env; pod: PodDefaults }): Settings {
  const broken: string[] = [];
  const sources: Partial<Record<keyof Config, Source>> = {};
  const read = <F extends keyof Config>(field: F): Config[F] => {
    const row = settingsTable[field];
    const text = input.flags[field] || input.env[row.variable];
    sources[field] = input.flags[field] ? "flag" : text ? "environment" : "default";
    try {
      return text ? row.parse(text) : row.byDefault(input.pod);
    } catch (error) {
      if (!(error instanceof RuleBroken)) throw error;
      broken.push(
        `Cannot use ${row.variable} ${(row.show ?? quoteShort)(text ?? "")} as it must ${error.message}`,
      );
      return row.byDefault(input.pod);
    }
  };
  const fields = Object.keys(settingsTable) as (keyof Config)[];
  const config = Object.fromEntries(fields.map((field) => [field, read(field)])) as unknown as Config;
  if (config.foreign === "on" && config.trustedKeysFile !== null) {
    broken.push(
      'Cannot use B10_CACHE_FOREIGN "on" as it must be auto or off where B10_CACHE_TRUSTED_KEYS_FILE demands ' +
        "signatures: b10-transfer's archives have none",
    );
  }
  if (broken.length > 0) throw new CacheError("bad_setting", broken.join("; "));
  const clamped = clamp(config);
  return {
    config: clamped.config,
    sources: sources as Record<keyof Config, Source>,
    notices: [...clamped.notices, ...embeddedStoreNotice(clamped.config, sources, input.pod)],
  };
}

/** @returns why this pod saves nothing, if that is so. */
export function whyNothingIsSaved(
  { readOnly, trustedKeysFile, signingKeyFile }: Pick<
    Config,
    "readOnly" | "trustedKeysFile" | "signingKeyFile"
  >,
): string | undefined {
  if (readOnly) return "B10_CACHE_READ_ONLY is on";
  if (trustedKeysFile === null || signingKeyFile !== null) return undefined;
  return "B10_CACHE_TRUSTED_KEYS_FILE demands signatures, and without B10_CACHE_SIGNING_KEY_FILE this pod has none to give";
}

function clamp(config: Config): { config: Config; notices: string[] } {
  const notices: string[] = [];
  const limited: { -readonly [F in typeof caps[number][0]]?: number } = {};
  for (const [field, cap] of caps) {
    if (config[field] <= config[cap]) continue;
    limited[field] = config[cap];
    notices.push(
      `${settingsTable[field].variable} ${config[field]} is above ${settingsTable[cap].variable} ` +
        `${config[cap]}, which is used instead`,
    );
  }
  return { config: { ...config, ...limited }, notices };
}

function embeddedStoreNotice(
  config: Config,
  sources: Partial<Record<keyof Config, Source>>,
  pod: PodDefaults,
): string[] {
  if (!usesEmbeddedStore(config, sources, pod)) return [];
  return [
    `${shareMountDir} is not mounted, so the cache stays on this pod, in ${config.storeDir}; ` +
    "mount the b10cache or set B10FS_CACHE_DIR to share it",
  ];
}

/** The store lies on this pod, as neither a mount nor the user named a shared one. */
export function usesEmbeddedStore(
  config: Config,
  sources: Partial<Record<keyof Config, Source>>,
  pod: PodDefaults,
): boolean {
  return sources.storeDir === "default" && config.storeDir === embeddedStoreDir(pod);
}
