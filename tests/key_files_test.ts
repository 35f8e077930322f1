/** The files that keys are in: who may have them, and what is said where one breaks a rule. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { type Config, readSettings } from "../lib/config.ts";
import { readSignatures } from "../lib/key_files.ts";
import { keyPairOf } from "../lib/signatures.ts";
import type { FileStat, FileSystem, Host } from "../lib/system.ts";
import { fakeSystem, only } from "./fake_system.ts";
import { realFiles, withDirectory } from "./pods.ts";
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

function read(config: Config, files: FileSystem = realFiles) {
  return readSignatures(fakeSystem({ fs: files, host: only<Host>("host", { uid }) }), config);
}

/** Whoever owns a file, it is said to be this user's number `uid`. */
function ownedBy(owner: number): FileSystem {
  const owned = (stat: FileStat) => ({ ...stat, uid: owner });
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
              `and its mode is ${mode}: chmod 600 it$`,
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
        cacheError("bad_setting", /B10_CACHE_TRUSTED_KEYS_FILE .* nobody else's to write, .* chmod 644 it$/),
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
    await refused(/B10_CACHE_TRUSTED_KEYS_FILE .* must hold public Ed25519 keys alone/);
    fs.writeFileSync(key, pair.publicFile);
    await refused(/B10_CACHE_SIGNING_KEY_FILE .* must hold one Ed25519 key as PKCS#8 PEM/);
    fs.rmSync(key);
    await refused(/must be readable: ENOENT$/);
    fs.mkdirSync(key);
    await refused(/must be a regular file$/);
    fs.rmdirSync(key);
    execFileSync("mkfifo", ["-m", "600", key]);
    await refused(/must be a regular file$/);
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
