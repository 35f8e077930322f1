import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Config,
  embeddedStoreDir,
  type PodDefaults,
  readSettings,
  type Settings,
  settingsTable,
  usesEmbeddedStore,
  whyNothingIsSaved,
} from "../lib/config.ts";
import { CacheError } from "../lib/errors.ts";

const pod: PodDefaults = {
  homeDir: "/home/app",
  torchCacheDir: "/tmp/torchinductor_app",
  shareMounted: true,
};

function settingsOf(env: Record<string, string> = {}, flags: Record<string, string> = {}): Settings {
  return readSettings({ flags, env, pod });
}

interface Example<T> {
  readonly variable: string;
  /** On a pod with a mounted share. */
  readonly byDefault: T;
  /** What the environment may say, and what that means. */
  readonly environment: readonly [string, T];
  /** What a flag that wins may say. */
  readonly flag: readonly [string, T];
  /** What breaks the rule, and how the rule reads after "must". */
  readonly bad: readonly (readonly [string, string])[];
}

const anyPath = [
  ["relative/dir", "be an absolute path"],
  ["~/cache", "be an absolute path"],
  ["/tmp/../etc", 'not contain a ".." component'],
  ["/tmp/a\0b", "not contain a NUL byte"],
] as const;
const wholeFromOne = ["0", "-1", "1.5", "1e3", "0x10", "many", " ", "9".repeat(16)]
  .map((text) => [text, "be a whole number of at least 1"] as const);
const wholeFromZero = ["-1", "1.5", "ten"].map((text) => [text, "be a whole number of at least 0"] as const);
const aboveZero = ["0", "0.0", "-1", "soon", "Infinity", "NaN", "1e3"]
  .map((text) => [text, "be a number above 0"] as const);
const neither = ["2", "maybe", "enabled", " 1"]
  .map((text) => [text, "be 1, true, yes or on, or 0, false, no or off"] as const);
const notPlain = ["..", "-a", "a/b", "a b", "x".repeat(101)]
  .map((text) => [text, "match ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"] as const);
const notHttp = ["localhost:8000", "ftp://a/", "/v1/models", "http://"]
  .map((text) => [text, "be an http or https address, or unix:/path/of/a/socket"] as const);

function directory(variable: string, byDefault: string): Example<string> {
  return {
    variable,
    byDefault,
    environment: ["//cache/./a//b/", "/cache/a/b"],
    flag: ["/tmp/f", "/tmp/f"],
    bad: anyPath,
  };
}

function seconds(variable: string, byDefault: number): Example<number> {
  return { variable, byDefault, environment: ["0.5", 0.5], flag: ["20", 20], bad: aboveZero };
}

function span<T extends number | null>(variable: string, byDefault: T): Example<T | number> {
  const rule = "be a number, 0 or above";
  return {
    variable,
    byDefault,
    environment: ["0", 0],
    flag: ["2.5", 2.5],
    bad: [["-1", rule], ["soon", rule], ["1e3", rule]],
  };
}

function limit(variable: string, byDefault: number): Example<number> {
  return { variable, byDefault, environment: ["7", 7], flag: ["8", 8], bad: wholeFromOne };
}

/** The settings as users read about them; the compiler asks for a row when a setting is added. */
const examples: { readonly [F in keyof Config]: Example<Config[F]> } = {
  torchCacheDir: directory("TORCHINDUCTOR_CACHE_DIR", "/tmp/torchinductor_app"),
  vllmCacheDir: directory("VLLM_CACHE_ROOT", "/home/app/.cache/vllm"),
  storeDir: directory("B10FS_CACHE_DIR", "/cache/model/compile_cache"),
  workDir: directory("LOCAL_WORK_DIR", "/app"),
  sharedCacheEnabled: {
    variable: "BASETEN_FS_ENABLED",
    byDefault: true,
    environment: ["False", false],
    flag: ["1", true],
    bad: neither,
  },
  readOnly: {
    variable: "B10_CACHE_READ_ONLY",
    byDefault: false,
    environment: ["on", true],
    flag: ["0", false],
    bad: neither,
  },
  namespace: {
    variable: "B10_CACHE_NAMESPACE",
    byDefault: "default",
    environment: ["llama-8b", "llama-8b"],
    flag: ["Qwen3.0_a", "Qwen3.0_a"],
    bad: notPlain,
  },
  pinnedKey: {
    variable: "B10_CACHE_KEY",
    byDefault: null,
    environment: ["a..b", "a..b"],
    flag: ["3f", "3f"],
    bad: notPlain,
  },
  foreign: {
    variable: "B10_CACHE_FOREIGN",
    byDefault: "auto",
    environment: ["on", "on"],
    flag: ["OFF", "off"],
    bad: [["yes", "be one of auto, on, off"]],
  },
  signingKeyFile: {
    variable: "B10_CACHE_SIGNING_KEY_FILE",
    byDefault: null,
    environment: ["/run/secrets/cache.key", "/run/secrets/cache.key"],
    flag: ["/k", "/k"],
    bad: anyPath,
  },
  trustedKeysFile: {
    variable: "B10_CACHE_TRUSTED_KEYS_FILE",
    byDefault: null,
    environment: ["/etc/b10/trusted.keys", "/etc/b10/trusted.keys"],
    flag: ["/t", "/t"],
    bad: anyPath,
  },
  python: {
    variable: "B10_CACHE_PYTHON",
    byDefault: null,
    environment: ["/opt/venv/bin/python", "/opt/venv/bin/python"],
    flag: ["/usr/bin/python3", "/usr/bin/python3"],
    bad: anyPath,
  },
  allowedPrefixes: {
    variable: "B10_CACHE_ALLOWED_PREFIXES",
    byDefault: [],
    environment: ["/mnt/a:/mnt/b/:", ["/mnt/a", "/mnt/b"]],
    flag: ["/mnt/c", ["/mnt/c"]],
    bad: [["/mnt/a:mnt/b", "be an absolute path"], ["/mnt/a:/mnt/../b", 'not contain a ".." component']],
  },
  maxCacheSizeMb: limit("MAX_CACHE_SIZE_MB", 1024),
  maxCacheSizeCapMb: { ...limit("MAX_CACHE_SIZE_CAP_MB", 1024), environment: ["2048", 2048] },
  maxConcurrentSaves: limit("MAX_CONCURRENT_SAVES", 50),
  maxConcurrentSavesCap: limit("MAX_CONCURRENT_SAVES_CAP", 100),
  lockTimeoutS: limit("CLEANUP_LOCK_TIMEOUT_SECONDS", 30),
  lockTimeoutCapS: limit("LOCK_TIMEOUT_CAP_SECONDS", 3600),
  incompleteTimeoutS: limit("CLEANUP_INCOMPLETE_TIMEOUT_SECONDS", 60),
  incompleteTimeoutCapS: limit("INCOMPLETE_TIMEOUT_CAP_SECONDS", 7200),
  minLocalSpaceMb: {
    variable: "MIN_LOCAL_SPACE_MB",
    byDefault: null,
    environment: ["0", 0],
    flag: ["100", 100],
    bad: wholeFromZero,
  },
  minStoreSpaceMb: {
    variable: "MIN_B10FS_SPACE_MB",
    byDefault: null,
    environment: ["0", 0],
    flag: ["100", 100],
    bad: wholeFromZero,
  },
  localSpaceMultiplier: {
    variable: "LOCAL_SPACE_ARCHIVE_MULTIPLIER",
    byDefault: null,
    environment: ["2.5", 2.5],
    flag: ["3", 3],
    bad: aboveZero,
  },
  serverUrl: {
    variable: "B10_TRANSFER_VLLM_URL",
    byDefault: "http://127.0.0.1:8000/v1/models",
    environment: ["https://pod:8443/health", "https://pod:8443/health"],
    flag: ["http://[::1]:81", "http://[::1]:81/"],
    bad: notHttp,
  },
  serverTimeoutS: seconds("B10_TRANSFER_TIMEOUT_S", 1800),
  serverIntervalS: seconds("B10_TRANSFER_INTERVAL_S", 2),
  quietS: span("B10_CACHE_QUIET_S", 5),
  quietTimeoutS: span("B10_CACHE_QUIET_TIMEOUT_S", 60),
  watchS: span("B10_CACHE_WATCH_S", null),
  watchIntervalS: seconds("B10_CACHE_WATCH_INTERVAL_S", 60),
  loadTimeoutS: seconds("B10_CACHE_LOAD_TIMEOUT_S", 60),
  saveTimeoutS: seconds("B10_CACHE_SAVE_TIMEOUT_S", 600),
  loadMemoryMb: limit("B10_CACHE_LOAD_MEMORY_MB", 256),
  maintenanceTimeoutS: seconds("B10_CACHE_MAINTENANCE_TIMEOUT_S", 3600),
  compactAfterLayers: {
    ...limit("B10_CACHE_COMPACT_AFTER", 16),
    bad: [["1", "be a whole number of at least 2"], ["x", "be a whole number of at least 2"]],
  },
  compactBudgetMb: limit("B10_CACHE_COMPACT_BUDGET_MB", 256),
  pruneGraceS: seconds("B10_CACHE_PRUNE_GRACE_S", 86_400),
  vouchedFileSystems: {
    variable: "B10_CACHE_VOUCHED_FILE_SYSTEMS",
    byDefault: [],
    environment: ["fuse.b10fs:fuse", ["fuse.b10fs", "fuse"]],
    flag: ["fuse.x:", ["fuse.x"]],
    bad: [["fuse b10fs", 'be types of file systems, separated by colons, such as "fuse.juicefs"']],
  },
  logLevel: {
    variable: "B10_TRANSFER_CLI_LOGLEVEL",
    byDefault: "info",
    environment: ["WARNING", "warning"],
    flag: ["debug", "debug"],
    bad: [["loud", "be one of debug, info, warning, error, critical"]],
  },
};

const fields = Object.keys(examples) as (keyof Config)[];

function expectBadSettings(
  env: Record<string, string>,
  flags: Record<string, string>,
  parts: string[],
): void {
  assert.throws(() => settingsOf(env, flags), (error) => {
    assert.ok(error instanceof CacheError);
    assert.equal(error.code, "bad_setting");
    assert.equal(error.message, parts.join("; "));
    return true;
  });
}

/** How a value that breaks its rule is named. */
function shown(variable: string, text: string): string {
  const mayBeAKey = /KEYS?_FILE$/.test(variable) && !text.startsWith("/");
  return mayBeAKey ? "(its value is not shown, as it may be a key itself)" : JSON.stringify(text);
}

for (const field of fields) {
  const { variable, byDefault, environment, flag, bad } = examples[field];

  test(`${variable}: default, environment, flag, and what breaks its rule`, () => {
    assert.equal(settingsTable[field].variable, variable);
    const unset = settingsOf();
    assert.deepEqual(unset.config[field], byDefault);
    assert.equal(unset.sources[field], "default");

    const empty = settingsOf({ [variable]: "" }, { [field]: "" });
    assert.deepEqual(empty.config[field], byDefault);
    assert.equal(empty.sources[field], "default");

    const set = settingsOf({ [variable]: environment[0] });
    assert.deepEqual(set.config[field], environment[1]);
    assert.equal(set.sources[field], "environment");

    // Whatever the environment says, even nonsense: the flag is what counts.
    for (const text of [environment[0], bad[0]?.[0] ?? ""]) {
      const won = settingsOf({ [variable]: text }, { [field]: flag[0] });
      assert.deepEqual(won.config[field], flag[1]);
      assert.equal(won.sources[field], "flag");
    }

    for (const [text, rule] of bad) {
      const message = `Cannot use ${variable} ${shown(variable, text)} as it must ${rule}`;
      expectBadSettings({ [variable]: text }, {}, [message]);
      expectBadSettings({}, { [field]: text }, [message]);
    }
  });
}

test("readSettings() sets no field but those of its table, and reads no other variable", () => {
  const { config, sources } = settingsOf({ B10_CACHE_TYPO: "1", PATH: "/bin" });
  assert.deepEqual(Object.keys(config).sort(), [...fields].sort());
  assert.deepEqual(new Set(Object.values(sources)), new Set(["default"]));
});

test("b10-transfer's archives, which nobody can sign, are not asked for where signatures are demanded", () => {
  const demand = { B10_CACHE_TRUSTED_KEYS_FILE: "/etc/trusted" };
  expectBadSettings({ ...demand, B10_CACHE_FOREIGN: "on" }, {}, [
    'Cannot use B10_CACHE_FOREIGN "on" as it must be auto or off where B10_CACHE_TRUSTED_KEYS_FILE demands ' +
    "signatures: b10-transfer's archives have none",
  ]);
  for (const foreign of ["auto", "off"]) settingsOf({ ...demand, B10_CACHE_FOREIGN: foreign });
});

test("a pod that demands signatures and has none to give saves nothing, as one that may only read", () => {
  const reasonOf = (env: Record<string, string>) => whyNothingIsSaved(settingsOf(env).config);
  const trusted = { B10_CACHE_TRUSTED_KEYS_FILE: "/etc/trusted" };
  const signing = { B10_CACHE_SIGNING_KEY_FILE: "/etc/key" };
  assert.equal(reasonOf({}), undefined);
  assert.equal(reasonOf(signing), undefined);
  assert.equal(reasonOf({ ...signing, ...trusted }), undefined);
  assert.match(reasonOf(trusted) ?? "", /^B10_CACHE_TRUSTED_KEYS_FILE demands signatures, and without/);
  assert.equal(reasonOf({ ...signing, B10_CACHE_READ_ONLY: "1" }), "B10_CACHE_READ_ONLY is on");
});

function messageOfBad(env: Record<string, string>): string {
  try {
    settingsOf(env);
  } catch (error) {
    if (error instanceof CacheError) return error.message;
  }
  assert.fail("it is accepted");
}

test("a key that was taken for the name of its file is in no message, nor is what stands in an address", () => {
  const pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIsecret\n-----END PRIVATE KEY-----\n";
  for (const variable of ["B10_CACHE_SIGNING_KEY_FILE", "B10_CACHE_TRUSTED_KEYS_FILE"]) {
    for (const text of [pem, `/${pem}`, "MC4CAQAwBQYDK2VwBCIEIsecret", "/a\rsecret"]) {
      assert.match(
        messageOfBad({ [variable]: text }),
        new RegExp(
          `^Cannot use ${variable} \\(its value is not shown, as it may be a key itself\\) as it must be `,
        ),
      );
    }
    assert.match(messageOfBad({ [variable]: "/keys/../a" }), /"\/keys\/\.\.\/a"/);
  }
  for (
    const text of ["ftp://user:secret@host/p", "http://user:se/secret@host/", "localhost:8000?key=secret"]
  ) {
    expectBadSettings({ B10_TRANSFER_VLLM_URL: text }, {}, [
      "Cannot use B10_TRANSFER_VLLM_URL (its value is not shown, as it may hold a secret) as it must be an http or https " +
      "address, or unix:/path/of/a/socket",
    ]);
  }
});

test("a value that breaks its rule is cut, however long it is", () => {
  const text = "x".repeat(100_000);
  for (const field of fields) {
    const { variable } = settingsTable[field];
    const message = messageOfBad({ [variable]: text });
    assert.ok(message.length < 800, `${variable}: ${message.slice(0, 100)}`);
  }
});

test("readSettings() names every bad value in one error", () => {
  expectBadSettings(
    { MAX_CACHE_SIZE_MB: "lots", BASETEN_FS_ENABLED: "perhaps", LOCAL_WORK_DIR: "here" },
    { namespace: "../up" },
    [
      'Cannot use LOCAL_WORK_DIR "here" as it must be an absolute path',
      'Cannot use BASETEN_FS_ENABLED "perhaps" as it must be 1, true, yes or on, or 0, false, no or off',
      'Cannot use B10_CACHE_NAMESPACE "../up" as it must match ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$',
      'Cannot use MAX_CACHE_SIZE_MB "lots" as it must be a whole number of at least 1',
    ],
  );
});

const caps = [
  { field: "maxCacheSizeMb", name: "MAX_CACHE_SIZE_MB", cap: "MAX_CACHE_SIZE_CAP_MB", capByDefault: 1024 },
  {
    field: "maxConcurrentSaves",
    name: "MAX_CONCURRENT_SAVES",
    cap: "MAX_CONCURRENT_SAVES_CAP",
    capByDefault: 100,
  },
  {
    field: "lockTimeoutS",
    name: "CLEANUP_LOCK_TIMEOUT_SECONDS",
    cap: "LOCK_TIMEOUT_CAP_SECONDS",
    capByDefault: 3600,
  },
  {
    field: "incompleteTimeoutS",
    name: "CLEANUP_INCOMPLETE_TIMEOUT_SECONDS",
    cap: "INCOMPLETE_TIMEOUT_CAP_SECONDS",
    capByDefault: 7200,
  },
] as const;

for (const { field, name, cap, capByDefault } of caps) {
  test(`${name} is clamped to ${cap}, with a notice that names both`, () => {
    const above = settingsOf({ [name]: String(capByDefault + 1) });
    assert.equal(above.config[field], capByDefault);
    assert.deepEqual(above.notices, [
      `${name} ${capByDefault + 1} is above ${cap} ${capByDefault}, which is used instead`,
    ]);

    const at = settingsOf({ [name]: String(capByDefault) });
    assert.equal(at.config[field], capByDefault);
    assert.deepEqual(at.notices, []);

    const lowered = settingsOf({ [name]: "9", [cap]: "5" });
    assert.equal(lowered.config[field], 5);
    assert.deepEqual(lowered.notices, [`${name} 9 is above ${cap} 5, which is used instead`]);

    const raised = settingsOf({ [name]: "99999", [cap]: "100000" });
    assert.equal(raised.config[field], 99_999);
    assert.deepEqual(raised.notices, []);
  });
}

test("a cap below a setting's default clamps the default too", () => {
  const { config, notices } = settingsOf({ MAX_CACHE_SIZE_CAP_MB: "512" });
  assert.equal(config.maxCacheSizeMb, 512);
  assert.equal(notices.length, 1);
});

test("without a mount the store is embedded in the home directory, and a notice says so", () => {
  const lonely = { ...pod, shareMounted: false };
  const { config, sources, notices } = readSettings({ flags: {}, env: {}, pod: lonely });
  assert.equal(config.storeDir, "/home/app/.cache/b10-compile-cache/store");
  assert.equal(config.storeDir, embeddedStoreDir(lonely));
  assert.equal(usesEmbeddedStore(config, sources, lonely), true);
  assert.deepEqual(notices, [
    "/cache/model is not mounted, so the cache stays on this pod, in " +
    "/home/app/.cache/b10-compile-cache/store; mount the b10cache or set B10FS_CACHE_DIR to share it",
  ]);
});

test("a mounted store and one that the user named are not embedded, wherever they lie", () => {
  const mounted = settingsOf();
  assert.equal(usesEmbeddedStore(mounted.config, mounted.sources, pod), false);
  assert.deepEqual(mounted.notices, []);

  const lonely = { ...pod, shareMounted: false };
  const named = readSettings({ flags: {}, env: { B10FS_CACHE_DIR: embeddedStoreDir(lonely) }, pod: lonely });
  assert.equal(usesEmbeddedStore(named.config, named.sources, lonely), false);
  assert.deepEqual(named.notices, []);
});
