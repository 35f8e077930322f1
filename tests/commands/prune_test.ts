import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { runCli } from "../../lib/cli.ts";
import { parseKey } from "../../lib/key.ts";
import { save } from "../../lib/save.ts";
import { openOrCreateStore } from "../../lib/store/directory.ts";
import type { Host, Stdio, System } from "../../lib/system.ts";
import { FakeClock } from "../fake_clock.ts";
import { fakeSystem, noSandbox, only } from "../fake_system.ts";
import { describeTree, makePod, newWorld, realFiles, withDirectory, writeFiles } from "../pods.ts";

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;

/** The share tells what time it is, and this machine agrees: durations do not pass, and short waits are none. */
class ShareClock extends FakeClock {
  constructor() {
    super(Date.now());
  }

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return ms < 1_000 ? Promise.resolve() : super.sleep(ms, signal);
  }
}

interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface PruneReport {
  readonly status: string;
  readonly code?: string;
  readonly message: string;
  readonly evicted: readonly string[];
  readonly generations_removed: number;
  readonly layers_removed: number;
  readonly bytes_freed: number;
  readonly bytes_waiting: number;
}

interface PodOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly mountinfo?: string;
}

interface Share {
  /** The store's directory, which is not there before something is saved. */
  readonly dir: string;
  /** Saves these files as a pod of this key would; each call adds a generation. */
  readonly save: (key: string, files: Readonly<Record<string, string>>) => Promise<void>;
  /** Runs `prune` on a pod. */
  readonly prune: (words: string, options?: PodOptions) => Promise<Said>;
  /** The same with --json. */
  readonly report: (words: string, options?: PodOptions) => Promise<PruneReport & { exit: number }>;
}

function withShare(act: (share: Share) => Promise<void>): Promise<void> {
  return withDirectory(async (base) => {
    const dir = path.join(base, "store");
    const world = newWorld();
    const prune: Share["prune"] = async (words, { env = {}, mountinfo } = {}) => {
      const said = { stdout: "", stderr: "" };
      const status = await runCli(fakeSystem({
        fs: realFiles,
        clock: new ShareClock(),
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
        host: only<Host>("host", { homeDir: base, workingDir: base, kernelFile: () => mountinfo }),
        stdio: stdioOf(words, said),
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
      save: async (key, files) => {
        const root = path.join(base, "torch");
        writeFiles(root, files);
        fs.mkdirSync(dir, { recursive: true });
        const pod = { ...makePod(world, root), key: parseKey(key, "key") };
        assert.equal((await save(pod, () => openOrCreateStore(world, dir))).status, "SUCCESS");
        fs.rmSync(root, { recursive: true });
      },
      prune,
      report: async (words, options = {}) => {
        const { status, stdout, stderr } = await prune(`${words} --json`, options);
        assert.equal(stderr, "");
        assert.match(stdout, /^[^\n]+\n$/);
        return { ...JSON.parse(stdout), exit: status };
      },
    });
  });
}

function stdioOf(words: string, said: { stdout: string; stderr: string }): Stdio {
  return only<Stdio>("stdio", {
    argv: ["prune", ...words.split(" ").filter((word) => word !== "")],
    stderrIsTerminal: false,
    stdout: (text) => void (said.stdout += text),
    stderr: (text) => void (said.stderr += text),
  });
}

/** Makes everything of a key so much older, as the share tells it. */
function age(share: Share, key: string, ms: number): void {
  const walk = (dir: string) => {
    for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
      const file = path.join(dir, entry.name);
      if (entry.isDirectory()) walk(file);
      const then = new Date(fs.statSync(file).mtimeMs - ms);
      fs.utimesSync(file, then, then);
    }
  };
  walk(path.join(share.dir, "native", key));
}

function filesIn(share: Share, key: string, kind: "generations" | "layers" | "marks"): string[] {
  const dir = path.join(share.dir, "native", key, kind);
  return fs.existsSync(dir) ? fs.readdirSync(dir).map((name) => path.join(dir, name)) : [];
}

function layerBytes(share: Share, key: string): number {
  return filesIn(share, key, "layers").reduce((sum, file) => sum + fs.statSync(file).size, 0);
}

const nothing = { evicted: [], generations_removed: 0, layers_removed: 0, bytes_freed: 0, bytes_waiting: 0 };

test("a cache that is out of use is evicted, and its bytes go in a later run", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    await share.save("b", { "one": "1" });
    const bytes = layerBytes(share, "a");
    age(share, "a", 31 * dayMs);

    const { exit, ...evicting } = await share.report("--max-age 30d");
    assert.equal(exit, 0);
    assert.deepEqual(evicting, {
      operation: "prune",
      status: "SUCCESS",
      dry_run: false,
      ...nothing,
      evicted: ["a"],
      bytes_waiting: bytes,
      elapsed_ms: 0,
      message:
        `evicted 1 cache; freed 0 B of 0 layers; ${bytes} B that nobody names go in a later run, once they have ` +
        "been marked for long enough (B10_CACHE_PRUNE_GRACE_S)",
    });
    assert.equal(filesIn(share, "a", "marks").length, 1);
    assert.equal(layerBytes(share, "a"), bytes);

    const waiting = await share.report("--max-age 30d");
    assert.deepEqual([waiting.status, waiting.evicted, waiting.bytes_waiting], ["SUCCESS", [], bytes]);

    age(share, "a", 25 * hourMs);
    const { generations_removed, ...freeing } = await share.report("--max-age 30d");
    assert.deepEqual(freeing, {
      exit: 0,
      operation: "prune",
      status: "SUCCESS",
      dry_run: false,
      evicted: [],
      layers_removed: 1,
      bytes_freed: bytes,
      bytes_waiting: 0,
      elapsed_ms: 0,
      message: `evicted 0 caches; freed ${bytes} B of 1 layer`,
    });
    assert.equal(generations_removed, 1);
    assert.deepEqual(filesIn(share, "a", "layers"), []);
    assert.equal(filesIn(share, "b", "layers").length, 1);
  }));

test("prune says in words what became of each cache that it changed, and of no other", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    await share.save("b", { "one": "1" });
    const bytes = layerBytes(share, "a");
    age(share, "a", 31 * dayMs);
    assert.deepEqual(await share.prune("--max-age 30d"), {
      status: 0,
      stdout: `a\n  evicted; ${bytes} B wait for a later run\n` +
        `prune SUCCESS: evicted 1 cache; freed 0 B of 0 layers; ${bytes} B that nobody names go in a later run, once ` +
        "they have been marked for long enough (B10_CACHE_PRUNE_GRACE_S)\n",
      stderr: "",
    });
    age(share, "a", 25 * hourMs);
    assert.deepEqual(await share.prune("--max-age 30d"), {
      status: 0,
      stdout: `a\n  1 generation removed; 1 layer removed, ${bytes} B\n` +
        `prune SUCCESS: evicted 0 caches; freed ${bytes} B of 1 layer\n`,
      stderr: "",
    });
    age(share, "b", 31 * dayMs);
    assert.deepEqual(await share.prune("--max-age 30d --quiet"), { status: 0, stdout: "", stderr: "" });
    assert.equal(filesIn(share, "b", "marks").length, 1);
  }));

test("the least recently used are evicted until the others fit", () =>
  withShare(async (share) => {
    for (const key of ["new", "old", "older"]) await share.save(key, { "one": "1" });
    const bytes = layerBytes(share, "new");
    age(share, "old", 2 * dayMs);
    age(share, "older", 3 * dayMs);
    const total = bytes + layerBytes(share, "old") + layerBytes(share, "older");
    assert.deepEqual((await share.report(`--max-total-size ${total} --dry-run`)).evicted, []);
    assert.deepEqual((await share.report(`--max-total-size ${total - 1} --dry-run`)).evicted, ["older"]);
    assert.deepEqual((await share.report(`--max-total-size ${bytes}B --dry-run`)).evicted, ["old", "older"]);
    assert.deepEqual((await share.report("--max-total-size 0 --dry-run")).evicted, ["new", "old", "older"]);
    const both = await share.report(`--max-total-size ${total - 1} --max-age 36h --dry-run`);
    assert.deepEqual(both.evicted, ["old", "older"]);
    assert.deepEqual((await share.report(`--max-total-size ${bytes}`)).evicted, ["old", "older"]);
  }));

test("superseded generations go, but for as many as are to be kept", () =>
  withShare(async (share) => {
    for (const file of ["one", "two", "three", "four"]) await share.save("a", { [file]: file });
    age(share, "a", 2 * dayMs);
    const three = await share.report("--keep-last 3");
    assert.deepEqual([three.exit, three.status, three.generations_removed], [0, "SUCCESS", 1]);
    const two = await share.report("--keep-last 2");
    assert.deepEqual([two.status, two.generations_removed, two.layers_removed, two.evicted], [
      "SUCCESS",
      1,
      0,
      [],
    ]);
    // Nobody needs a generation before the two newest, whatever else the policy is about.
    await share.save("a", { "five": "five" });
    age(share, "a", 2 * dayMs);
    assert.equal((await share.report("--max-age 30d")).generations_removed, 1);
    assert.equal(filesIn(share, "a", "generations").length, 2);
    assert.equal(filesIn(share, "a", "layers").length, 5);
  }));

test("where there is nothing to prune that is said, and nothing is written", () =>
  withShare(async (share) => {
    const expected = {
      operation: "prune",
      status: "SKIPPED",
      dry_run: false,
      ...nothing,
      elapsed_ms: 0,
      message: "there is nothing to prune",
    };
    assert.deepEqual(await share.report("--max-age 30d"), { exit: 0, ...expected });
    assert.ok(!fs.existsSync(share.dir), "a store was made");
    await share.save("a", { "one": "1" });
    const before = describeTree(share.dir);
    assert.deepEqual(await share.report("--max-age 30d"), { exit: 0, ...expected });
    assert.deepEqual(describeTree(share.dir), before);
    assert.deepEqual(await share.prune("--max-age 30d"), {
      status: 0,
      stdout: "prune SKIPPED: there is nothing to prune\n",
      stderr: "",
    });
  }));

test("--dry-run says what would be done, and does nothing", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    await share.save("b", { "one": "1" });
    const bytes = layerBytes(share, "a");
    age(share, "a", 31 * dayMs);
    const before = describeTree(share.dir);
    const { exit, message, ...report } = await share.report("--max-age 30d --dry-run");
    assert.equal(exit, 0);
    assert.deepEqual(report, {
      operation: "prune",
      status: "SKIPPED",
      dry_run: true,
      ...nothing,
      evicted: ["a"],
      bytes_waiting: bytes,
      elapsed_ms: 0,
    });
    assert.match(message, /^would evict 1 cache; /);
    const said = await share.prune("--max-age 30d --dry-run");
    const expected = `a\n  to be evicted; ${bytes} B wait for a later run\nprune SKIPPED: ${message}\n`;
    assert.deepEqual(said, { status: 0, stdout: expected, stderr: "" });
    assert.deepEqual(describeTree(share.dir), before);
    const idle = await share.report("--max-age 32d --dry-run");
    assert.deepEqual([idle.status, idle.message], ["SKIPPED", "there is nothing to prune"]);
  }));

const wrongUsages: readonly (readonly [string, RegExp])[] = [
  ["", /prune needs a policy: --max-age, --max-total-size or --keep-last; see prune --help/],
  ["--dry-run", /prune needs a policy/],
  ["--json", /prune needs a policy/],
  [
    "--max-age x",
    /Cannot use --max-age "x" as it must be a number and a unit of s, m, h, d or w, such as "7d"/,
  ],
  ["--max-age 30", /Cannot use --max-age "30"/],
  ["--max-age -1d", /--max-age/],
  ["--max-total-size x", /Cannot use --max-total-size "x" as it must be a number of bytes/],
  ["--max-total-size 20GiB", /Cannot use --max-total-size "20GiB"/],
  ["--keep-last 1", /Cannot use --keep-last "1" as it must be a whole number of at least 2/],
  ["--keep-last 0", /Cannot use --keep-last "0"/],
  ["--keep-last two", /Cannot use --keep-last "two"/],
  ["--max-age 30d --keep-last 1", /Cannot use --keep-last "1"/],
  ["--max-age", /option '--max-age <time>' argument missing/],
  ["--max-age 30d a", /too many arguments/],
  ["--older-than 30d", /unknown option '--older-than'/],
];

test("wrong usage exits with 64, says so on stderr, and touches nothing", async () => {
  for (const [words, message] of wrongUsages) {
    const said = { stdout: "", stderr: "" };
    // Of standard output and error alone: any use of files fails the test.
    const status = await runCli(fakeSystem({ stdio: stdioOf(words, said), env: {}, clock: new FakeClock() }));
    assert.deepEqual([status, said.stdout], [64, ""], words);
    assert.match(said.stderr, message, words);
  }
});

test("an empty value is no policy", async () => {
  for (const flag of ["--max-age", "--max-total-size", "--keep-last"]) {
    const said = { stdout: "", stderr: "" };
    const stdio = { ...stdioOf("", said), argv: ["prune", flag, ""] };
    assert.equal(await runCli(fakeSystem({ stdio, env: {}, clock: new FakeClock() })), 64);
    assert.match(said.stderr, new RegExp(`Cannot use ${flag} ""`));
  }
});

test("a pod that may only read refuses to prune, and tries it all the same", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    age(share, "a", 31 * dayMs);
    const before = describeTree(share.dir);
    const env = { B10_CACHE_READ_ONLY: "1" };
    for (const [words, options] of [["", { env }], [" --read-only", {}]] as const) {
      const refused = await share.report(`--max-age 30d${words}`, options);
      assert.deepEqual([refused.exit, refused.status, refused.code], [1, "ERROR", "bad_setting"]);
      assert.equal(refused.message, "Cannot prune as B10_CACHE_READ_ONLY is on; --dry-run works");
      const tried = await share.report(`--max-age 30d --dry-run${words}`, options);
      assert.deepEqual([tried.exit, tried.status, tried.evicted], [0, "SKIPPED", ["a"]]);
    }
    assert.deepEqual(describeTree(share.dir), before);
  }));

test("on a file system of which nobody knows that machines exclude each other nothing is pruned", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    age(share, "a", 31 * dayMs);
    const before = describeTree(share.dir);
    const mountinfo = "22 1 0:20 / / rw - fuse.gcsfuse bucket rw";
    const refused = await share.report("--max-age 30d", { mountinfo });
    assert.deepEqual([refused.exit, refused.status, refused.code], [1, "ERROR", "store_unsupported"]);
    assert.match(refused.message, /of type "fuse.gcsfuse".*B10_CACHE_VOUCHED_FILE_SYSTEMS=fuse.gcsfuse$/);
    assert.deepEqual((await share.report("--max-age 30d --dry-run", { mountinfo })).evicted, ["a"]);
    assert.deepEqual(describeTree(share.dir), before);
    const env = { B10_CACHE_VOUCHED_FILE_SYSTEMS: "fuse.gcsfuse" };
    assert.deepEqual((await share.report("--max-age 30d", { mountinfo, env })).evicted, ["a"]);
  }));

test("a cache without a valid generation is left as it is, and that is said", () =>
  withShare(async (share) => {
    await share.save("a", { "one": "1" });
    for (const file of filesIn(share, "a", "generations")) fs.truncateSync(file, 10);
    age(share, "a", 31 * dayMs);
    const before = describeTree(path.join(share.dir, "native", "a", "layers"));
    const said = await share.prune("--max-age 30d");
    assert.deepEqual([said.status, said.stdout], [0, "prune SKIPPED: there is nothing to prune\n"]);
    assert.equal(
      said.stderr,
      "b10-compile-cache: warning: a is left as it is: none of its generations is valid\n",
    );
    assert.equal((await share.prune("--max-age 30d --quiet")).stderr, "");
    assert.deepEqual(describeTree(path.join(share.dir, "native", "a", "layers")), before);
  }));

test("what the settings have to say is said, and not with --quiet", () =>
  withShare(async (share) => {
    const env = { MAX_CACHE_SIZE_MB: "2000" };
    const said = await share.prune("--max-age 30d", { env });
    assert.match(
      said.stderr,
      /^b10-compile-cache: warning: MAX_CACHE_SIZE_MB 2000 is above MAX_CACHE_SIZE_CAP_MB 1024/,
    );
    assert.equal((await share.prune("--max-age 30d --quiet", { env })).stderr, "");
  }));

test("a bad setting, or a share that is not mounted, is an ERROR", () =>
  withShare(async (share) => {
    const bad = await share.report("--max-age 30d", { env: { B10_CACHE_PRUNE_GRACE_S: "soon" } });
    assert.deepEqual([bad.exit, bad.code], [1, "bad_setting"]);
    for (const words of ["--max-age 30d", "--max-age 30d --dry-run"]) {
      const env = { B10FS_CACHE_DIR: path.join(share.dir, "not", "there") };
      const unmounted = await share.report(words, { env });
      assert.deepEqual([unmounted.exit, unmounted.code], [1, "store_not_mounted"]);
    }
  }));
