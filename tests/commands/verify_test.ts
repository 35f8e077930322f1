import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { runCli } from "../../lib/cli.ts";
import { parseKey } from "../../lib/key.ts";
import { openOrCreatePodStore } from "../../lib/pod_store.ts";
import { save } from "../../lib/save.ts";
import { keyPairOf, parsePrivateKey, type Signatures } from "../../lib/signatures.ts";
import type { Host, Stdio, System } from "../../lib/system.ts";
import { flipped } from "../damage.ts";
import { FakeClock } from "../fake_clock.ts";
import { fakeSystem, noSandbox, only } from "../fake_system.ts";
import { describeTree, makePod, newWorld, realFiles, withDirectory, writeFiles } from "../pods.ts";

const uid = process.getuid?.() ?? 0;

interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface VerifiedCache {
  readonly key: string;
  readonly problems: readonly string[];
  readonly signed_by: readonly string[];
  readonly superseded_problems: readonly string[];
  readonly superseded_untrusted: readonly string[];
}

interface VerifyReport {
  readonly status: string;
  readonly code?: string;
  readonly bytes?: number;
  readonly caches: readonly VerifiedCache[];
  readonly message: string;
}

interface Share {
  /** The store's directory, which is not there before something is saved. */
  readonly dir: string;
  /** Saves these files as a pod of this key would; each call adds a generation. */
  readonly save: (
    key: string,
    files: Readonly<Record<string, string>>,
    signatures?: Signatures,
  ) => Promise<void>;
  /** Runs `verify` on a pod. */
  readonly verify: (words: readonly string[], options?: PodOptions) => Promise<Said>;
  /** The same with --json. */
  readonly report: (
    words?: readonly string[],
    options?: PodOptions,
  ) => Promise<VerifyReport & { exit: number }>;
}

interface PodOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly mountinfo?: string;
}

function withShare(act: (share: Share) => Promise<void>): Promise<void> {
  return withDirectory(async (base) => {
    const dir = path.join(base, "store");
    const world = newWorld();
    const verify: Share["verify"] = async (words, { env = {}, mountinfo } = {}) => {
      const said = { stdout: "", stderr: "" };
      const status = await runCli(fakeSystem({
        fs: realFiles,
        clock: new FakeClock(),
        random: world.random,
        env: {
          HOME: base,
          USER: "app",
          TMPDIR: base,
          LOCAL_WORK_DIR: base,
          B10FS_CACHE_DIR: dir,
          B10_CACHE_ALLOWED_PREFIXES: base,
          ...env,
        },
        host: only<Host>("host", { homeDir: base, workingDir: base, uid, kernelFile: () => mountinfo }),
        stdio: only<Stdio>("stdio", {
          argv: ["verify", ...words],
          stderrIsTerminal: false,
          stdout: (text) => void (said.stdout += text),
          stderr: (text) => void (said.stderr += text),
        }),
        processes: only<System["processes"]>("processes", { onSignals: () => () => {} }),
        sandbox: {
          ...noSandbox,
          narrow: (roots) => {
            assert.deepEqual(roots, [dir]);
            return Promise.resolve("none");
          },
        },
      }));
      return { status, ...said };
    };
    await act({
      dir,
      save: async (key, files, signatures = {}) => {
        const root = path.join(base, "torch");
        writeFiles(root, files);
        fs.mkdirSync(dir, { recursive: true });
        const pod = { ...makePod(world, root), key: parseKey(key, "key") };
        assert.equal((await save(pod, () => openOrCreatePodStore(world, dir, signatures))).status, "SUCCESS");
        fs.rmSync(root, { recursive: true });
      },
      verify,
      report: async (words = [], options = {}) => {
        const { status, stdout, stderr } = await verify([...words, "--json"], options);
        assert.equal(stderr, "");
        assert.match(stdout, /^[^\n]+\n$/);
        return { ...JSON.parse(stdout), exit: status };
      },
    });
  });
}

/** The files of this key's layers, the first saved first. */
function layersOf(share: Share, key: string): string[] {
  const dir = path.join(share.dir, "native", key, "layers");
  const files = fs.readdirSync(dir).map((name) => path.join(dir, name));
  return files.sort((a, b) =>
    Number(fs.statSync(a, { bigint: true }).mtimeNs - fs.statSync(b, { bigint: true }).mtimeNs)
  );
}

function damage(file: string | undefined): void {
  assert.ok(file);
  const bytes = fs.readFileSync(file);
  fs.chmodSync(file, 0o644);
  fs.writeFileSync(file, flipped(bytes, 40));
}

function generationFile(share: Share, key: string, n: number): string {
  return path.join(share.dir, "native", key, "generations", `${String(n).padStart(10, "0")}.json`);
}

function marksOf(share: Share, key: string): string[] {
  const dir = path.join(share.dir, "native", key, "marks");
  return fs.existsSync(dir)
    ? fs.readdirSync(dir).map((name) => fs.readFileSync(path.join(dir, name), "utf8"))
    : [];
}

const clean = { problems: [], signed_by: [], superseded_problems: [], superseded_untrusted: [] };

test("verify reads back every cache, says what each holds, and writes nothing", () =>
  withShare(async (share) => {
    await share.save("b", { "one": "1", "two": "22" });
    await share.save("a", { "one": "one" });
    await share.save("a", { "two": "two two" });
    const before = describeTree(share.dir);
    const { exit, ...report } = await share.report();
    assert.equal(exit, 0);
    assert.deepEqual(report, {
      operation: "verify",
      status: "SUCCESS",
      caches: [
        { key: "a", generations: 2, layers: 2, files: 2, bytes: 10, ...clean },
        { key: "b", generations: 1, layers: 1, files: 2, bytes: 3, ...clean },
      ],
      bytes: 13,
      elapsed_ms: 0,
      message: "2 caches, 3 layers, 13 B: every digest is right",
    });
    assert.deepEqual(describeTree(share.dir), before);
  }));

test("verify for people says the same, a cache a paragraph", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    assert.deepEqual(await share.verify([]), {
      status: 0,
      stdout: "a\n  1 generation, 1 layer, 1 file, 1 B\n" +
        "verify SUCCESS: 1 cache, 1 layer, 1 B: every digest is right\n",
      stderr: "",
    });
    assert.deepEqual(await share.verify(["--quiet"]), { status: 0, stdout: "", stderr: "" });
  }));

test("verify KEY reads that cache alone, and so do --key and B10_CACHE_KEY; KEY wins", () =>
  withShare(async (share) => {
    for (const key of ["a", "b", "c"]) await share.save(key, { "one": key });
    damage(layersOf(share, "c")[0]);
    const keys = async (words: readonly string[], options: PodOptions = {}) => {
      const { exit, caches } = await share.report(words, options);
      assert.equal(exit, 0);
      return caches.map(({ key }) => key);
    };
    assert.deepEqual(await keys(["b"]), ["b"]);
    assert.deepEqual(await keys(["--key", "a"]), ["a"]);
    assert.deepEqual(await keys([], { env: { B10_CACHE_KEY: "a" } }), ["a"]);
    assert.deepEqual(await keys(["b"], { env: { B10_CACHE_KEY: "a" } }), ["b"]);
    assert.deepEqual(await keys(["b", "--key", "a"]), ["b"]);
  }));

test("a damaged layer is an ERROR with exit status 1, and is marked once for the next save to heal", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    await share.save("b", { "two": "22" });
    const [layer = ""] = layersOf(share, "a");
    damage(layer);
    const report = await share.report();
    assert.deepEqual([report.exit, report.status, report.code], [1, "ERROR", "bad_layer"]);
    const [a, b] = report.caches;
    assert.equal(a?.problems.length, 1);
    assert.match(a?.problems[0] ?? "", new RegExp(path.basename(layer)));
    assert.deepEqual(b?.problems, []);
    assert.equal(
      report.message,
      `2 caches, 2 layers, 3 B: 1 problem; ${
        a?.problems[0]
      }. Loads fall back to what is intact, and the next ` +
        "save of that environment heals the cache",
    );
    const mark = `{"kind":"bad_layer","layer":"${path.basename(layer)}"}\n`;
    assert.deepEqual([marksOf(share, "a"), marksOf(share, "b")], [[mark], []]);
    const said = await share.verify([]);
    assert.equal(said.status, 1);
    assert.match(said.stdout, /^a\n {2}1 generation, .*\n {2}damaged: .*\nb\n {2}1 generation, [^\n]*\n$/);
    assert.match(said.stderr, /^b10-compile-cache: error: verify ERROR \(bad_layer\): 2 caches, .*\n$/);
    const quiet = await share.verify(["--quiet"]);
    assert.deepEqual([quiet.status, quiet.stdout, quiet.stderr], [1, "", said.stderr]);
    assert.deepEqual(marksOf(share, "a"), [mark]);
    assert.equal((await share.verify(["b"])).status, 0);
  }));

test("a layer that is gone is as bad, and each problem of each cache is counted", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    await share.save("a", { "two": "22" });
    await share.save("b", { "one": "1" });
    for (const key of ["a", "b"]) for (const layer of layersOf(share, key)) fs.unlinkSync(layer);
    const report = await share.report();
    assert.deepEqual([report.exit, report.code], [1, "bad_layer"]);
    assert.deepEqual(report.caches.map(({ problems }) => problems.length), [2, 1]);
    assert.match(report.message, /: 3 problems; /);
  }));

test("a newest generation that is torn is a problem, though an older one is whole", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    await share.save("a", { "two": "22" });
    fs.truncateSync(generationFile(share, "a", 2), 10);
    const report = await share.report();
    assert.equal(report.exit, 1);
    assert.deepEqual(report.caches, [{
      key: "a",
      generations: 1,
      layers: 1,
      files: 1,
      bytes: 1,
      problems: ["generation 2 is not valid: it ends within its first line"],
      signed_by: [],
      superseded_problems: [],
      superseded_untrusted: [],
    }]);
  }));

test("what is wrong with superseded generations alone is said, and is no failure", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    await share.save("a", { "two": "22" });
    fs.truncateSync(generationFile(share, "a", 1), 10);
    const problem = "generation 1 is not valid: it ends within its first line";
    const report = await share.report();
    assert.deepEqual([report.exit, report.status, report.code], [0, "SUCCESS", undefined]);
    assert.deepEqual(report.caches[0]?.problems, []);
    assert.deepEqual(report.caches[0]?.superseded_problems, [problem]);
    assert.equal(
      report.message,
      "1 cache, 2 layers, 3 B: every digest of the newest generations is right; 1 problem in superseded ones, " +
        "which nobody loads and a prune removes",
    );
    assert.match(
      (await share.verify([])).stdout,
      new RegExp(`\n  damaged in a superseded generation: ${problem}\n`),
    );
  }));

test("after a rotation the old key's generations are superseded and not trusted: that is told apart from damage", () =>
  withShare(async (share) => {
    const [before, after] = ["1", "2"].map((digit) => keyPairOf(digit.repeat(64)));
    const signed = (pair = before) => ({ signer: parsePrivateKey(pair?.privateFile ?? "") });
    await share.save("a", { "one": "1" }, signed(before));
    await share.save("a", { "two": "22" }, signed(after));
    const list = `${share.dir}.keys`;
    fs.writeFileSync(list, after?.publicFile ?? "", { mode: 0o600 });
    const env = { B10_CACHE_TRUSTED_KEYS_FILE: list };
    const problem = `generation 1 is not trusted: it is signed by "${before?.keyId}", which ` +
      "B10_CACHE_TRUSTED_KEYS_FILE does not have";
    const report = await share.report([], { env });
    assert.deepEqual([report.exit, report.status], [0, "SUCCESS"]);
    const [cache] = report.caches;
    assert.deepEqual([cache?.problems, cache?.superseded_problems], [[], []]);
    assert.deepEqual(cache?.superseded_untrusted, [problem]);
    assert.equal(
      report.message,
      "1 cache, 2 layers, 3 B: every digest is right; no key that is trusted now has signed 1 superseded generation, " +
        "as after a rotation: nobody loads what is superseded, and a prune removes it",
    );
    const { stdout } = await share.verify([], { env });
    assert.ok(stdout.includes(`\n  superseded: ${problem}\n`), stdout);
    assert.doesNotMatch(stdout, /damaged/);
    // What is damaged as well is told as that, and a newest one that is not trusted is a problem.
    damage(layersOf(share, "a")[0]);
    await share.save("a", { "three": "333" });
    const both = await share.verify([], { env });
    assert.equal(both.status, 1);
    assert.match(
      both.stdout,
      /\n {2}generation 3 is not trusted: it is not signed\n {2}damaged: .*\n {2}superseded: /,
    );
  }));

test("where there is nothing to verify the exit status is 0, or 4 with --fail-on-miss", () =>
  withShare(async (share) => {
    const missing = async (words: readonly string[], message: string) => {
      const { exit, ...report } = await share.report(words);
      assert.deepEqual(report, {
        operation: "verify",
        status: "DOES_NOT_EXIST",
        caches: [],
        elapsed_ms: 0,
        message: `${share.dir} does not hold ${message}`,
      });
      assert.equal(exit, 0);
      const strict = await share.report([...words, "--fail-on-miss"]);
      assert.deepEqual([strict.exit, strict.status], [4, "DOES_NOT_EXIST"]);
    };
    await missing([], "any cache");
    await missing(["a"], 'the cache "a"');
    assert.ok(!fs.existsSync(share.dir), "a store was made");
    await share.save("b", { "one": "1" });
    await missing(["a"], 'the cache "a"');
    await missing(["--key", "a"], 'the cache "a"');
    assert.equal((await share.report(["b", "--fail-on-miss"])).exit, 0);
  }));

test("a KEY that can be none is a bad setting, and the store is left alone", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    const before = describeTree(share.dir);
    for (const key of ["../a", "a/b", "leases", "format.json", ".", "a b", "x".repeat(101)]) {
      const report = await share.report([key]);
      assert.deepEqual([report.exit, report.status, report.code], [1, "ERROR", "bad_setting"], key);
      assert.ok(report.message.startsWith(`Cannot use KEY ${JSON.stringify(key)} as `), report.message);
    }
    const flag = await share.report(["--key", "../a"]);
    assert.deepEqual([flag.exit, flag.code], [1, "bad_setting"]);
    assert.match(flag.message, /^Cannot use B10_CACHE_KEY "..\/a"/);
    assert.deepEqual(describeTree(share.dir), before);
  }));

test("two keys are wrong usage", () =>
  withShare(async (share) => {
    const said = await share.verify(["a", "b"]);
    assert.deepEqual([said.status, said.stdout], [64, ""]);
    assert.match(said.stderr, /too many arguments/);
  }));

test("a share that is not mounted, or switched off, is an ERROR: not the same as nothing to verify", () =>
  withShare(async (share) => {
    const unmounted = await share.report([], {
      env: { B10FS_CACHE_DIR: path.join(share.dir, "not", "there") },
    });
    assert.deepEqual([unmounted.exit, unmounted.code], [1, "store_not_mounted"]);
    const off = await share.report([], { env: { BASETEN_FS_ENABLED: "0" } });
    assert.deepEqual([off.exit, off.code], [1, "disabled"]);
  }));

test("verify reads from a file system that would not be written to, and where saving is switched off", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    const mountinfo = "22 1 0:20 / / rw - fuse.gcsfuse bucket rw";
    assert.equal((await share.report([], { mountinfo })).status, "SUCCESS");
    assert.equal((await share.report([], { env: { B10_CACHE_READ_ONLY: "1" } })).status, "SUCCESS");
  }));
