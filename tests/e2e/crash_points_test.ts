/**
 * The compiled binary is killed at each of its calls that change files: what was saved still loads byte for byte, and
 * the same command, run again, ends what it had begun. tests/faults/ has the calls that fail, and the finer checks.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { differences, type Snapshot, takeSnapshot } from "../../scripts/snapshot.ts";
import { tell } from "../faults/tell.ts";
import { mainProgram, selectTargets, type Target } from "../targets.ts";
import { Fleet, operate, type Pod, run, writeTree } from "./fleet.ts";

const strace = ["/usr/bin/strace", "/bin/strace"].find((file) => fs.existsSync(file));
const noStrace = strace === undefined ? "strace is not installed" : false;

/**
 * Calls that change files. strace counts those of each thread by themselves, so that the calls which the threads have
 * in common are a set of their own. A call that writes lies between one that makes the file and one that flushes it.
 */
const callSets: Readonly<Record<string, string>> = {
  "placing, flushing and removing":
    "link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,fsync,fdatasync",
  "making and describing":
    "mkdir,mkdirat,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utimensat,ftruncate",
};

/** The binary makes its calls on one thread, but for those that it does not wait for. */
const oneThread = { UV_THREADPOOL_SIZE: "1" };

/** So many are tried at once: after a kill most of the time is spent waiting for the dead one's lease. */
const atOnce = 6;

/** What the coarsest runtime keeps of a modification time. */
const resolutionNs = 1_000_000n;

const killed = 128 + 9;
const dayS = 24 * 60 * 60;

/** Longer than all trials of one command take on a busy machine. */
const timeout = 600_000;

interface Scenario {
  readonly name: string;
  readonly args: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
  /** Makes the store that the command finds. */
  readonly arrange: (bench: Bench) => Promise<void>;
  /** The trees, by their labels, that a fresh pod gets before and after the command. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** The tree of the pod that runs the command; by default it has none. */
  readonly saves?: string;
  /** Of so many points one is tried, as each takes a while. */
  readonly step: number;
}

/** A store to begin with, and trials on copies of it. */
class Bench implements Disposable {
  readonly target: Target;
  readonly #fleet = new Fleet();
  readonly #trees = new Map<string, Snapshot>();
  #pods = 0;

  constructor(target: Target) {
    this.target = target;
  }

  [Symbol.dispose](): void {
    this.#fleet[Symbol.dispose]();
  }

  get storeDir(): string {
    return this.#fleet.storeDir;
  }

  /** A pod of its own. @param share the directory that holds its store. */
  pod(settings: Readonly<Record<string, string>> = {}, share = this.#fleet.share): Pod {
    const store = { B10FS_CACHE_DIR: path.join(share, path.basename(this.#fleet.storeDir)) };
    return this.#fleet.pod(`pod-${++this.#pods}`, { ...store, ...settings });
  }

  /** The directory with this tree, which nobody changes. */
  treeDir(label: string): string {
    const dir = path.join(this.#fleet.base, "trees", label);
    if (!this.#trees.has(label)) {
      writeTree(dir, label);
      this.#trees.set(label, takeSnapshot(dir, resolutionNs));
    }
    return dir;
  }

  /** What these trees hold together. */
  snapshotOf(labels: readonly string[]): Snapshot {
    return new Map(labels.flatMap((label) => {
      this.treeDir(label);
      return [...this.#trees.get(label) ?? []];
    }));
  }

  async saveEach(labels: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<void> {
    for (const label of labels) {
      const pod = this.pod({ ...settings, TORCHINDUCTOR_CACHE_DIR: this.treeDir(label) });
      assert.equal((await operate(this.target, pod, ["save"])).status, "SUCCESS");
    }
  }

  /** Runs `act` on a copy of the store. */
  async onCopy(act: (share: string) => Promise<void>): Promise<void> {
    const share = fs.mkdtempSync(path.join(this.#fleet.base, "share-"));
    fs.cpSync(this.#fleet.share, share, { recursive: true, preserveTimestamps: true });
    await act(share);
    fs.rmSync(share, { recursive: true });
  }
}

const compacting = { B10_CACHE_COMPACT_AFTER: "2" };
const pruning = ["prune", "--keep-last", "2"];

/** Everything in the store has become two days older. */
function letTimePass(dir: string): void {
  for (const name of fs.readdirSync(dir, { recursive: true, encoding: "utf8" })) {
    const file = path.join(dir, name);
    const oldS = fs.statSync(file).mtimeMs / 1000 - 2 * dayS;
    fs.utimesSync(file, oldS, oldS);
  }
}

const scenarios: readonly Scenario[] = [
  {
    name: "load",
    args: ["load"],
    arrange: (bench) => bench.saveEach(["one", "two"]),
    before: ["one", "two"],
    after: ["one", "two"],
    step: 1,
  },
  {
    name: "save",
    args: ["save"],
    arrange: () => Promise.resolve(),
    before: [],
    after: ["mine"],
    saves: "mine",
    step: 1,
  },
  {
    name: "save, with a compaction",
    args: ["save"],
    settings: compacting,
    arrange: (bench) => bench.saveEach(["one", "two"]),
    before: ["one", "two"],
    after: ["one", "two", "mine"],
    saves: "mine",
    step: 3,
  },
  {
    name: "prune, run 2",
    args: pruning,
    arrange: async (bench) => {
      await bench.saveEach(["one", "two", "three"], compacting);
      await bench.saveEach(["four"]);
      await operate(bench.target, bench.pod(), pruning);
      letTimePass(bench.storeDir);
    },
    before: ["one", "two", "three", "four"],
    after: ["one", "two", "three", "four"],
    step: 2,
  },
];

/**
 * Kills the command at each point in turn, until it comes to its end before that.
 * @returns at how many points it was killed.
 */
async function killAtEveryPoint(bench: Bench, scenario: Scenario, calls: string): Promise<number> {
  let next = 1;
  let count = 0;
  let isOver = false;
  const work = async () => {
    while (!isOver) {
      const at = next;
      next += scenario.step;
      await bench.onCopy(async (share) => {
        if (await killAt(at, { bench, scenario, calls, share })) count++;
        else isOver = true;
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return count;
}

/** @returns false where the command came to its end. */
async function killAt(
  at: number,
  { bench, scenario, calls, share }: { bench: Bench; scenario: Scenario; calls: string; share: string },
): Promise<boolean> {
  const { args, settings = {}, saves } = scenario;
  const tree = saves === undefined ? {} : { TORCHINDUCTOR_CACHE_DIR: bench.treeDir(saves) };
  const pod = bench.pod({ ...oneThread, ...settings, ...tree }, share);
  const where = `${scenario.name}, killed at call ${at}`;
  const shell =
    `exec ${strace} -f -qq -o /dev/null -e trace=${calls} -e inject=${calls}:signal=KILL:when=${at} "$@"`;
  const ended = await run(bench.target, pod, args, { shell });
  if (ended.code !== killed) assert.equal(ended.code, 0, `${where}: ${ended.stderr}`);
  const [before, after] = [bench.snapshotOf(scenario.before), bench.snapshotOf(scenario.after)];
  const left = await loaded(bench, share);
  const isBefore = differences(before, left).length === 0;
  assert.ok(isBefore || differences(after, left).length === 0, `${where}: ${differences(after, left)}`);
  if (args.includes("load")) assertWholeFiles(pod, after, where);
  const report = await operate(bench.target, pod, args);
  assert.notEqual(report.status, "ERROR", `${where}, then: ${report.message}`);
  if (args.includes("load")) assert.deepEqual(differences(after, snapshot(pod)), [], where);
  assert.deepEqual(differences(after, await loaded(bench, share)), [], where);
  return ended.code === killed;
}

/** What a fresh pod gets. */
async function loaded(bench: Bench, share: string): Promise<Snapshot> {
  const pod = bench.pod({}, share);
  const report = await operate(bench.target, pod, ["load"]);
  assert.match(report.status, /^(SUCCESS|DOES_NOT_EXIST)$/, report.message);
  return snapshot(pod);
}

function snapshot({ torchDir }: Pod): Snapshot {
  return fs.existsSync(torchDir) ? takeSnapshot(torchDir, resolutionNs) : new Map();
}

/** What came is whole; what did not come yet is out of the way. */
function assertWholeFiles(pod: Pod, expected: Snapshot, where: string): void {
  for (const [file, line] of snapshot(pod)) {
    if (!file.startsWith(".b10-")) assert.equal(line, expected.get(file), `${where}: ${file}`);
  }
}

for (const target of selectTargets(mainProgram, []).filter(({ name }) => name === "binary")) {
  describe(`crash points, ${target.name}`, () => {
    for (const scenario of scenarios) {
      test(
        `${scenario.name}: killed at any call that changes files it loses nothing, and its next run ends it`,
        { skip: target.skip || noStrace, timeout },
        async (context) => {
          using bench = new Bench(target);
          await scenario.arrange(bench);
          const share = scenario.step === 1 ? "" : `, one of ${scenario.step}`;
          for (const [name, calls] of Object.entries(callSets)) {
            const count = await killAtEveryPoint(bench, scenario, calls);
            assert.ok(count > 0);
            await tell(
              context,
              `faults: ${scenario.name}, ${target.name}, ${name}: ${count} crash points${share}`,
            );
          }
        },
      );
    }
  });
}
