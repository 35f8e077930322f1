/** Signed caches, by the whole program: keys, who signs, who demands, what an attacker gets. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { mainProgram, ownRuntime, selectTargets, type Target } from "../targets.ts";
import { Fleet, operate, type Pod, reportOf, run, testTimeoutMs, writeTree } from "./fleet.ts";

/** Makes a key with the program. */
async function makeKey(target: Target, fleet: Fleet, name: string): Promise<{ file: string; id: string }> {
  const file = path.join(fleet.base, name);
  const made = await operate(target, fleet.pod("keys"), ["keygen", file]);
  assert.equal(made.status, "SUCCESS", made.message);
  return { file, id: String(made["key_id"]) };
}

/** What a pod is set to that signs with `file`, and trusts these. */
function settings(file: string | undefined, ...trusted: readonly string[]): Record<string, string> {
  return {
    ...(file === undefined ? {} : { B10_CACHE_SIGNING_KEY_FILE: file }),
    ...(trusted[0] === undefined ? {} : { B10_CACHE_TRUSTED_KEYS_FILE: trusted[0] }),
  };
}

function withFiles(pod: Pod, files: Readonly<Record<string, string>>): Pod {
  fs.mkdirSync(pod.torchDir, { recursive: true });
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(pod.torchDir, name), text);
  return pod;
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`signatures, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test(
      "keygen makes a pair that OpenSSL knows, for its owner alone, and never replaces one",
      options,
      async () => {
        using fleet = new Fleet();
        const { file, id } = await makeKey(target, fleet, "own.key");
        assert.match(id, /^[0-9a-f]{16}$/);
        assert.equal(fs.statSync(file).mode & 0o777, 0o600);
        assert.equal(fs.statSync(`${file}.pub`).mode & 0o777, 0o644);
        const derived = execFileSync("openssl", ["pkey", "-in", file, "-pubout"], { encoding: "utf8" });
        assert.equal(fs.readFileSync(`${file}.pub`, "utf8"), `# key id ${id}\n${derived}`);
        const before = fs.readFileSync(file, "utf8");
        const again = await operate(target, fleet.pod("keys"), ["keygen", file]);
        assert.deepEqual([again.status, again["code"]], ["ERROR", "local_io"]);
        assert.match(again.message, /is there already, and a key is never replaced/);
        assert.equal(fs.readFileSync(file, "utf8"), before);
        // With half a pair there it makes no other half.
        fs.writeFileSync(path.join(fleet.base, "half.pub"), "");
        const half = await operate(target, fleet.pod("keys"), ["keygen", path.join(fleet.base, "half")]);
        assert.equal(half.status, "ERROR");
        assert.deepEqual(fs.readdirSync(fleet.base).filter((name) => name.startsWith("half")), ["half.pub"]);
        // In a directory it has a name of its own.
        const inside = await operate(target, fleet.pod("keys"), ["keygen", fleet.share]);
        assert.equal(inside["file"], path.join(fleet.share, "b10-compile-cache.key"));
      },
    );

    test(
      "an attacker's unsigned generation is passed over, and the signed one below it restored",
      options,
      async () => {
        using fleet = new Fleet();
        const { file, id } = await makeKey(target, fleet, "own.key");
        const saver = withFiles(fleet.pod("saver", settings(file, `${file}.pub`)), { good: "good" });
        assert.equal((await operate(target, saver, ["save"])).status, "SUCCESS");
        const attacker = withFiles(fleet.pod("attacker"), { evil: "evil" });
        assert.equal((await operate(target, attacker, ["save"])).status, "SUCCESS");

        const demanding = fleet.pod("demanding", settings(undefined, `${file}.pub`));
        const loaded = reportOf(await run(target, demanding, ["load", "--json"]));
        assert.deepEqual([loaded.status, loaded["generation"]], ["SUCCESS", 1]);
        assert.deepEqual(fs.readdirSync(demanding.torchDir), ["good"]);
        const told = await run(target, fleet.pod("told", settings(undefined, `${file}.pub`)), ["load"]);
        assert.match(told.stderr, /generation 2 is not trusted: it is not signed/);

        // It has the public key alone: it saves nothing, and removes nothing.
        withFiles(demanding, { more: "more" });
        const saved = await operate(target, demanding, ["save"]);
        assert.equal(saved.status, "SKIPPED");
        assert.match(saved.message, /B10_CACHE_SIGNING_KEY_FILE/);
        const pruned = await operate(target, demanding, ["prune", "--max-age", "30d"]);
        assert.deepEqual([pruned.status, pruned["code"]], ["ERROR", "bad_setting"]);

        const verified = await operate(target, demanding, ["verify"]);
        assert.deepEqual([verified.status, verified["code"]], ["ERROR", "untrusted"]);
        const status = await operate(target, saver, ["status"]);
        const { signing_key, trusted_keys } = status["signatures"] as unknown as Record<string, unknown>;
        assert.deepEqual({ signing_key, trusted_keys }, { signing_key: id, trusted_keys: [id] });
        const listed = await operate(target, demanding, ["list"]);
        const [cache] = listed["caches"] as unknown as readonly Readonly<Record<string, unknown>>[];
        assert.deepEqual([cache?.["generation"], cache?.["signed_by"]], [1, [id]]);

        // The next signed save has nothing of the attacker's.
        withFiles(saver, { next: "next" });
        assert.equal((await operate(target, saver, ["save"])).status, "SUCCESS");
        const anyone = fleet.pod("anyone");
        assert.equal((await operate(target, anyone, ["load"])).status, "SUCCESS");
        assert.deepEqual(fs.readdirSync(anyone.torchDir).sort(), ["good", "next"]);
      },
    );

    test(
      "where nothing is trusted a load is an ERROR, and run starts its command all the same",
      options,
      async () => {
        using fleet = new Fleet();
        const { file } = await makeKey(target, fleet, "own.key");
        const attacker = withFiles(fleet.pod("attacker"), { evil: "evil" });
        fs.mkdirSync(attacker.vllmDir, { recursive: true });
        fs.writeFileSync(path.join(attacker.vllmDir, "evil"), "evil");
        assert.equal((await operate(target, attacker, ["save"])).status, "SUCCESS");
        const pod = fleet.pod("pod", settings(file, `${file}.pub`));
        const loaded = await operate(target, pod, ["load"]);
        assert.deepEqual([loaded.status, loaded["code"]], ["ERROR", "untrusted"]);
        assert.ok(!fs.existsSync(pod.torchDir));
        const started = await run(target, pod, ["run", "--", "echo", "started"]);
        assert.deepEqual([started.code, started.stdout], [0, "started\n"]);
      },
    );

    test("keys are rotated: old and new are trusted, then the new one alone", options, async () => {
      using fleet = new Fleet();
      const before = await makeKey(target, fleet, "old.key");
      const after = await makeKey(target, fleet, "new.key");
      const both = path.join(fleet.base, "both.keys");
      fs.writeFileSync(
        both,
        [before, after].map(({ file }) => fs.readFileSync(`${file}.pub`, "utf8")).join(""),
      );
      const saver = withFiles(fleet.pod("saver", settings(before.file, both)), { a: "a" });
      assert.equal((await operate(target, saver, ["save"])).status, "SUCCESS");
      const rotated = withFiles(fleet.pod("rotated", settings(after.file, both)), { b: "b" });
      assert.equal((await operate(target, rotated, ["save"])).status, "SUCCESS");
      const late = fleet.pod("late", settings(undefined, `${after.file}.pub`));
      assert.equal((await operate(target, late, ["load"])).status, "SUCCESS");
      assert.deepEqual(fs.readdirSync(late.torchDir).sort(), ["a", "b"]);
    });

    test("a store that is rolled back is noticed by a pod that has seen more", options, async () => {
      using fleet = new Fleet();
      const { file } = await makeKey(target, fleet, "own.key");
      const saver = withFiles(fleet.pod("saver", settings(file, `${file}.pub`)), { a: "a" });
      await operate(target, saver, ["save"]);
      withFiles(saver, { b: "b" });
      await operate(target, saver, ["save"]);
      const reader = fleet.pod("reader", settings(undefined, `${file}.pub`));
      fs.mkdirSync(reader.env["LOCAL_WORK_DIR"] ?? "", { recursive: true });
      assert.equal((await operate(target, reader, ["load"])).status, "SUCCESS");
      const [newest] = execFileSync("find", [fleet.storeDir, "-name", "0000000002.json"], {
        encoding: "utf8",
      })
        .trim().split("\n");
      fs.rmSync(newest ?? "");
      fs.rmSync(reader.torchDir, { recursive: true });
      const loaded = await operate(target, reader, ["load"]);
      assert.deepEqual([loaded.status, loaded["code"]], ["ERROR", "rollback"]);
      assert.ok(!fs.existsSync(reader.torchDir));
    });

    test(
      "another store in the place of the one that a pod has seen is refused, until that is allowed",
      options,
      async () => {
        using fleet = new Fleet();
        using staging = new Fleet();
        const { file } = await makeKey(target, fleet, "own.key");
        const saver = withFiles(fleet.pod("saver", settings(file, `${file}.pub`)), { a: "a" });
        await operate(target, saver, ["save"]);
        const other = withFiles(staging.pod("saver", settings(file, `${file}.pub`)), { staging: "staging" });
        assert.equal((await operate(target, other, ["save"])).status, "SUCCESS");
        const reader = fleet.pod("reader", settings(undefined, `${file}.pub`));
        fs.mkdirSync(reader.env["LOCAL_WORK_DIR"] ?? "", { recursive: true });
        assert.equal((await operate(target, reader, ["load"])).status, "SUCCESS");

        fs.rmSync(path.join(fleet.storeDir, "native"), { recursive: true });
        fs.cpSync(path.join(staging.storeDir, "native"), path.join(fleet.storeDir, "native"), {
          recursive: true,
        });
        fs.rmSync(reader.torchDir, { recursive: true });
        const refused = await operate(target, reader, ["load"]);
        assert.deepEqual([refused.status, refused["code"]], ["ERROR", "rollback"]);
        assert.ok(!fs.existsSync(reader.torchDir));
        const [, record = ""] = refused.message.match(/if the new one was meant, remove "(.*)"$/) ?? [];
        fs.rmSync(record);
        assert.equal((await operate(target, reader, ["load"])).status, "SUCCESS");
        assert.deepEqual(fs.readdirSync(reader.torchDir), ["staging"]);
      },
    );

    test(
      "where another account holds the names of the pod's state, each command says that a rollback would be missed",
      options,
      async () => {
        using fleet = new Fleet();
        const { file } = await makeKey(target, fleet, "own.key");
        const pod = withFiles(fleet.pod("pod", settings(file, `${file}.pub`)), { a: "a" });
        const kept = pod.env["LOCAL_WORK_DIR"] ?? "";
        const rollbackOf = async () => {
          const { rollback_noticed, rollback_problem } =
            (await operate(target, pod, ["status"]))["signatures"] as unknown as Record<string, unknown>;
          return [rollback_noticed, rollback_problem];
        };
        const [before, why] = await rollbackOf();
        assert.equal(before, false);
        assert.match(String(why), /nothing that was seen is kept on this pod yet/);
        // A save that demands signatures keeps what it has seen, and a load has nothing to say.
        const warning =
          /warning: a rollback of the store would not be noticed: .* is not private to this user/;
        assert.doesNotMatch((await run(target, pod, ["save"])).stderr, /rollback/);
        assert.doesNotMatch((await run(target, pod, ["load"])).stderr, /rollback/);
        assert.deepEqual(await rollbackOf(), [true, null]);
        fs.rmSync(`${pod.torchDir}.b10-state`, { recursive: true });
        for (const taken of [`${pod.torchDir}.b10-state`, kept, path.join(kept, ".b10-compile-cache")]) {
          fs.mkdirSync(taken);
          fs.chmodSync(taken, 0o777);
        }
        for (const command of ["load", "save"]) {
          const said = await run(target, pod, [command]);
          assert.equal(said.code, 0);
          assert.equal(said.stderr.match(new RegExp(warning, "g"))?.length, 1, said.stderr);
        }
        assert.equal((await rollbackOf())[0], false);
        const text = await run(target, pod, ["status"]);
        assert.match(
          text.stdout,
          /rollback_noticed: false\n {2}rollback_problem: LOCAL_WORK_DIR .* is not private/,
        );
        // Who demands nothing has nothing to miss.
        const plain = { ...pod, env: { ...pod.env, B10_CACHE_TRUSTED_KEYS_FILE: "" } };
        assert.doesNotMatch((await run(target, plain, ["load"])).stderr, /rollback/);
      },
    );

    test(
      "a key in a cache or in the store is refused by each command that would use it there",
      options,
      async () => {
        using fleet = new Fleet();
        const { file } = await makeKey(target, fleet, "own.key");
        const saver = withFiles(fleet.pod("saver", settings(file, `${file}.pub`)), { a: "a" });
        assert.equal((await operate(target, saver, ["save"])).status, "SUCCESS");
        const inCache = path.join(saver.torchDir, "signing.key");
        fs.copyFileSync(file, inCache);
        const exported = path.join(fleet.base, "exported.tar.zst");
        const refusedIn = async (pod: Pod, command: readonly string[]) => {
          const refused = await operate(target, pod, command);
          assert.deepEqual([refused.status, refused["code"]], ["ERROR", "bad_setting"], command.join(" "));
          assert.match(refused.message, /must lie outside the (store|inductor cache)/);
        };
        const careless = { ...saver, env: { ...saver.env, B10_CACHE_SIGNING_KEY_FILE: inCache } };
        assert.equal((await operate(target, saver, ["export", exported])).status, "SUCCESS");
        for (const command of [["save"], ["load"], ["status"], ["import", exported]]) {
          await refusedIn(careless, command);
        }
        const inStore = path.join(fleet.storeDir, "trusted.keys");
        fs.copyFileSync(`${file}.pub`, inStore);
        const misled = fleet.pod("misled", settings(undefined, inStore));
        for (
          const command of [["load"], ["status"], ["list"], ["verify"], ["explain"], [
            "export",
            path.join(fleet.base, "other.tar.zst"),
          ]]
        ) {
          await refusedIn(misled, command);
        }
        for (const command of [["prune", "--keep-last", "2"], ["import", exported], ["save"]]) {
          await refusedIn({ ...misled, env: { ...misled.env, B10_CACHE_SIGNING_KEY_FILE: file } }, command);
        }
        assert.ok(!fs.existsSync(misled.torchDir));
      },
    );

    test(
      "keygen says which directory is not there, or may not be written to, and what to do",
      options,
      async () => {
        using fleet = new Fleet();
        const absent = path.join(fleet.base, "absent");
        const failed = await operate(target, fleet.pod("keys"), ["keygen", path.join(absent, "own.key")]);
        assert.deepEqual([failed.status, failed["code"]], ["ERROR", "local_io"]);
        assert.equal(
          failed.message,
          `Cannot write "${absent}/own.key" as its directory "${absent}" must be there (ENOENT): make it, for this user ` +
            "alone, or name another file",
        );
        fs.writeFileSync(absent, "");
        const file = await operate(target, fleet.pod("keys"), ["keygen", path.join(absent, "own.key")]);
        assert.match(file.message, /its directory ".*absent" must be there \(ENOTDIR\)/);
      },
    );

    test("a private key that others can read is refused, before anything is touched", options, async () => {
      using fleet = new Fleet();
      const { file } = await makeKey(target, fleet, "own.key");
      fs.chmodSync(file, 0o640);
      const pod = withFiles(fleet.pod("pod", settings(file)), { a: "a" });
      for (const command of [["save"], ["load"], ["status"], ["list"], ["prune", "--keep-last", "2"]]) {
        const refused = await operate(target, pod, command);
        assert.deepEqual([refused.status, refused["code"]], ["ERROR", "bad_setting"], command.join(" "));
        assert.match(
          refused.message,
          /B10_CACHE_SIGNING_KEY_FILE .* nobody else's to read or write, .* 0640/,
        );
      }
      assert.ok(!fs.existsSync(fleet.storeDir));
    });

    test(
      "an exported cache is imported only with a signature that is trusted; an archive has none",
      options,
      async () => {
        using fleet = new Fleet();
        const { file } = await makeKey(target, fleet, "own.key");
        const signed = fleet.pod("saver", settings(file, `${file}.pub`));
        writeTree(signed.torchDir);
        await operate(target, signed, ["save"]);
        const good = path.join(fleet.base, "good.tar.zst");
        assert.equal((await operate(target, signed, ["export", good])).status, "SUCCESS");
        const bare = {
          ...signed,
          env: { ...signed.env, B10_CACHE_SIGNING_KEY_FILE: "", B10_CACHE_TRUSTED_KEYS_FILE: "" },
        };
        const bad = path.join(fleet.base, "bad.tar.zst");
        assert.equal((await operate(target, bare, ["export", bad])).status, "SUCCESS");
        const archive = path.join(fleet.base, "cache_0123456789abcdef.latest.tar.gz");
        assert.equal((await operate(target, bare, ["export", archive])).status, "SUCCESS");
        using elsewhere = new Fleet();
        const importer = elsewhere.pod("importer", {
          ...settings(file, `${file}.pub`),
          B10_CACHE_ALLOWED_PREFIXES: `${elsewhere.base}:${fleet.base}`,
        });
        for (const refusedFile of [bad, archive]) {
          const refused = await operate(target, importer, ["import", refusedFile]);
          assert.deepEqual([refused.status, refused["code"]], ["ERROR", "untrusted"], refused.message);
        }
        const imported = await operate(target, importer, ["import", good]);
        assert.equal(imported.status, "SUCCESS", imported.message);
      },
    );
  });
}
