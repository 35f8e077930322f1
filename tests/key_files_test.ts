/** The files that keys are in: who may have them, and what is said where one breaks a rule. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { type Config, readSettings } from "../lib/config.ts";
import { type KeylessPlaces, readSignatures } from "../lib/key_files.ts";
import { keyPairOf } from "../lib/signatures.ts";
import type { FileStat, FileSystem, Host } from "../lib/system.ts";
import { fakeSystem, only } from "./fake_system.ts";
import { failure, realFiles, withDirectory } from "./pods.ts";
import { cacheError } from "./store/examples.ts";

const pair = keyPairOf("22".repeat(32));
const other = keyPairOf("33".repeat(32));

const pod = { homeDir: "/root", torchCacheDir: "/tmp/torchinductor_root", shareMounted: true };
const uid = process.getuid?.() ?? 0;

interface Place {
  readonly config: Config;
  readonly key: string;
  readonly list: string;
}

/** A directory with both files, as they should be. */
function withKeys(act: (place: Place) => Promise<void>): Promise<void> {
  return withDirectory(async (dir) => {
    const key = path.join(dir, "own.key");
    const list = path.join(dir, "trusted.keys");
    fs.writeFileSync(key, pair.privateFile);
    fs.chmodSync(key, 0o600);
    fs.writeFileSync(list, pair.publicFile + other.publicFile);
    fs.chmodSync(list, 0o644);
    const env = { B10_CACHE_SIGNING_KEY_FILE: key, B10_CACHE_TRUSTED_KEYS_FILE: list };
    await act({ config: readSettings({ flags: {}, env, pod }).config, key, list });
  });
}

/** No key lies in either. */
const elsewhere: KeylessPlaces = {
  storeDir: "/cache/model/compile_cache",
  roots: [{ name: "inductor", dir: "/tmp/torchinductor_root" }],
};

function read(config: Config, files: FileSystem = realFiles, { keyless = elsewhere, user = uid }: {
  keyless?: KeylessPlaces;
  user?: number;
} = {}) {
  const host = only<Host>("host", { uid: user, groupIds: () => [ownGroup, 2000] });
  return readSignatures(fakeSystem({ fs: files, host }), config, keyless);
}

const ownGroup = 1000;

/** Whatever a file is, it is said to be so. */
function ownedBy(owner: number, changes: Partial<FileStat> = {}): FileSystem {
  const owned = (stat: FileStat) => ({ ...stat, uid: owner, ...changes });
  return {
    ...realFiles,
    open: async (file, mode) => {
      const opened = await realFiles.open(file, mode);
      return { ...opened, stat: async () => owned(await opened.stat()) };
    },
  };
}

test("the keys that the settings name are read; without settings there are none, and no file is looked at", () =>
  withKeys(async ({ config, key, list }) => {
    const { signer, trusted } = await read(config);
    assert.equal(signer?.keyId, pair.keyId);
    assert.deepEqual(trusted?.keyIds, [pair.keyId, other.keyId]);
    const none = { ...config, signingKeyFile: null, trustedKeysFile: null };
    assert.deepEqual(await read(none, only<FileSystem>("fs", {})), {});
    assert.deepEqual(Object.keys(await read({ ...none, signingKeyFile: key })), ["signer"]);
    assert.deepEqual(Object.keys(await read({ ...none, trustedKeysFile: list })), ["trusted"]);
  }));

test("a private key that others can read or write is refused, whoever they are; a list of keys only where they can write", () =>
  withKeys(async ({ config, key, list }) => {
    for (const bit of [0o040, 0o020, 0o010, 0o004, 0o002, 0o001]) {
      fs.chmodSync(key, 0o600 | bit);
      const mode = `0${(0o600 | bit).toString(8)}`;
      await assert.rejects(
        () => read(config),
        cacheError(
          "bad_setting",
          new RegExp(
            `^Cannot use B10_CACHE_SIGNING_KEY_FILE "${key}" as it must be nobody else's to read or write, ` +
              `and its mode is ${mode}.*: chmod 600 it`,
          ),
        ),
      );
    }
    for (const mode of [0o400, 0o600, 0o700]) {
      fs.chmodSync(key, mode);
      await read(config);
    }
    for (const mode of [0o664, 0o646]) {
      fs.chmodSync(list, mode);
      await assert.rejects(
        () => read(config),
        cacheError("bad_setting", /B10_CACHE_TRUSTED_KEYS_FILE .* nobody else's to write, .* chmod 644 it/),
      );
    }
  }));

test("what belongs to another user than this one and root is refused", () =>
  withKeys(async ({ config }) => {
    await read(config, ownedBy(0));
    await read(config, ownedBy(uid));
    await assert.rejects(
      () => read(config, ownedBy(uid + 1)),
      cacheError("bad_setting", /must belong to this user or to root$/),
    );
  }));

test("what is no file, is not there, is too large or holds no key is refused by name", () =>
  withKeys(async ({ config, key, list }) => {
    const refused = async (rule: RegExp) =>
      await assert.rejects(() => read(config), cacheError("bad_setting", rule));
    fs.writeFileSync(list, "#".repeat(64 * 1024) + "\n");
    await refused(/B10_CACHE_TRUSTED_KEYS_FILE ".*trusted.keys" as it must have 65536 bytes at most$/);
    fs.writeFileSync(list, pair.privateFile);
    await refused(
      /B10_CACHE_TRUSTED_KEYS_FILE .* must hold public Ed25519 keys alone, and it holds a private one: .*\.pub$/,
    );
    fs.writeFileSync(list, "garbage");
    await refused(/B10_CACHE_TRUSTED_KEYS_FILE .* must hold public Ed25519 keys alone, as PEM/);
    fs.writeFileSync(key, "garbage");
    await refused(/B10_CACHE_SIGNING_KEY_FILE .* must hold one Ed25519 key as PKCS#8 PEM/);
    fs.rmSync(key);
    await refused(
      /B10_CACHE_SIGNING_KEY_FILE ".*own\.key" as it must be a file, and nothing is there \(ENOENT\): mount it/,
    );
    fs.mkdirSync(key);
    await refused(/must be a regular file$/);
    fs.rmdirSync(key);
    execFileSync("mkfifo", ["-m", "600", key]);
    await refused(/must be a regular file$/);
  }));

test("the wrong one of a pair is told first, whatever its mode and owner, and not a letter of it is shown", () =>
  withKeys(async ({ config, key, list }) => {
    fs.writeFileSync(key, pair.publicFile);
    const body = (pem: string) => pem.split("\n").find((line) => line.length > 40) ?? assert.fail();
    for (const mode of [0o644, 0o600]) {
      fs.chmodSync(key, mode);
      for (const owner of [uid, uid + 1]) {
        await assert.rejects(
          () => read(config, ownedBy(owner)),
          (error: Error) => {
            assert.match(
              error.message,
              /must hold this pod's private key, and it holds a public one: .* without \.pub$/,
            );
            assert.ok(!error.message.includes(body(pair.publicFile)));
            return true;
          },
        );
      }
    }
    fs.writeFileSync(key, pair.privateFile);
    fs.writeFileSync(list, pair.privateFile);
    fs.chmodSync(list, 0o666);
    await assert.rejects(
      () => read(config),
      (error: Error) => {
        assert.match(error.message, /it holds a private one/);
        assert.ok(!error.message.includes(body(pair.privateFile)));
        return true;
      },
    );
  }));

test("what cannot be read is refused with what to do about it", () =>
  withKeys(async ({ config }) => {
    const failing = (code: string): FileSystem => ({
      ...realFiles,
      open: () => Promise.reject(failure(code)),
    });
    const refused = async (code: string, rule: RegExp) =>
      await assert.rejects(() => read(config, failing(code)), cacheError("bad_setting", rule));
    await refused(
      "ENOTDIR",
      /nothing is there \(ENOTDIR\): mount it there, or make one with `b10-compile-cache keygen`$/,
    );
    await refused(
      "EACCES",
      new RegExp(`be readable by this user, whose number is ${uid} \\(EACCES\\): give it to this user`),
    );
    await refused("EIO", /be readable: EIO; look at the disk that it is on$/);
  }));

test("a key of root's that a group of this process may read, as of a Secret with an fsGroup, is taken; no other of a group's", () =>
  withKeys(async ({ config }) => {
    const secret = { mode: 0o440, gid: 2000 };
    for (const user of [0, 1000]) {
      for (const mode of [0o440, 0o640, 0o400]) await read(config, ownedBy(0, { ...secret, mode }), { user });
      for (
        const change of [{ mode: 0o460 }, { mode: 0o450 }, { mode: 0o444 }, { mode: 0o442 }, { gid: 0 }, {
          gid: 3000,
        }]
      ) {
        await assert.rejects(
          () => read(config, ownedBy(0, { ...secret, ...change }), { user }),
          cacheError(
            "bad_setting",
            /be nobody else's to read or write, .* in Kubernetes: defaultMode: 0400\)$/,
          ),
          JSON.stringify(change),
        );
      }
    }
    await assert.rejects(
      () => read(config, ownedBy(1000, secret), { user: 1000 }),
      cacheError(
        "bad_setting",
        /nobody else's to read or write, and its mode is 0440 and its group 2000: chmod 400 it$/,
      ),
      "a user's own key",
    );
  }));

test("a key file in the store or in a cache in use is refused, by its name and by where a symlink leads", () =>
  withKeys(async ({ config, key, list }) => {
    const base = path.dirname(key);
    const dirs = ["cache", "store", "keys"].map((name) => path.join(base, name));
    const [cache = "", store = "", keys = ""] = dirs;
    for (const dir of dirs) fs.mkdirSync(dir);
    const keyless = { storeDir: store, roots: [{ name: "inductor", dir: cache }] };
    const place = (setting: "signingKeyFile" | "trustedKeysFile", file: string) =>
      read({ ...config, [setting]: file }, realFiles, { keyless });
    const rules = [
      [
        cache,
        /must lie outside the inductor cache ".*cache".*: a save stores all that lies there; .*make a new one/,
      ],
      [
        store,
        /must lie outside the store, B10FS_CACHE_DIR ".*store".*: whoever can write there could replace it/,
      ],
    ] as const;
    for (const [setting, file] of [["signingKeyFile", key], ["trustedKeysFile", list]] as const) {
      const name = path.basename(file);
      for (const [dir, rule] of rules) {
        fs.mkdirSync(path.join(dir, "below"), { recursive: true });
        const inside = path.join(dir, "below", name);
        const refused = async (named: string) =>
          await assert.rejects(() => place(setting, named), cacheError("bad_setting", rule), named);
        fs.copyFileSync(file, inside);
        await refused(inside);
        // A symlink that leads in, one that leads out, and one of a directory.
        fs.symlinkSync(inside, path.join(keys, name));
        await refused(path.join(keys, name));
        fs.rmSync(path.join(keys, name));
        fs.rmSync(inside);
        fs.symlinkSync(file, inside);
        await refused(inside);
        fs.symlinkSync(dir, path.join(keys, "dir"));
        await refused(path.join(keys, "dir", "below", name));
        fs.rmSync(path.join(keys, "dir"));
      }
      // As a Secret's volume has it.
      fs.mkdirSync(path.join(keys, "..2024"), { recursive: true });
      fs.copyFileSync(file, path.join(keys, "..2024", name));
      fs.rmSync(path.join(keys, "..data"), { force: true });
      fs.symlinkSync("..2024", path.join(keys, "..data"));
      fs.symlinkSync(path.join("..data", name), path.join(keys, name));
      await place(setting, path.join(keys, name));
      // Beside them is not in them.
      fs.copyFileSync(file, `${store}-${name}`);
      await place(setting, `${store}-${name}`);
    }
  }));

test("a signing key that is not among the trusted ones is refused: what it signs would count nowhere", () =>
  withKeys(async ({ config, list }) => {
    fs.writeFileSync(list, other.publicFile);
    await assert.rejects(
      () => read(config),
      cacheError(
        "bad_setting",
        new RegExp(`its key ${pair.keyId} must be among those of .*, which are ${other.keyId}`),
      ),
    );
  }));
