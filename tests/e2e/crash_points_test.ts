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
 * Calls that change files. One that writes lies between one that describes the file and one that flushes it: strace
 * cannot tell it from those by which the threads wake each other.
 */
const changingCalls =
  "link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync," +
  "chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utimensat,ftruncate";

/** As few as the binary takes: see `Aim`. */
const fewThreads = { UV_THREADPOOL_SIZE: "1" };

/** So often per point a trial may hit one that was tried before. */
const aimsPerPoint = 3;

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
  /** The newest generation after it. */
  readonly newest: number;
  /** The tree of the pod that runs the command; by default it has none. */
  readonly saves?: string;
  /** One of so many points is tried, as each takes a while. */
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
    newest: 2,
    step: 1,
  },
  {
    name: "save",
    args: ["save"],
    arrange: () => Promise.resolve(),
    before: [],
    after: ["mine"],
    newest: 1,
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
    newest: 4,
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
    newest: 7,
    step: 2,
  },
];

/** The names of the calls that change files, in a process's order. */
function callsIn(trace: string): string[] {
  const lines = fs.readFileSync(trace, "utf8").matchAll(/^\d+ +(\w+)\(/gm);
  return [...lines].map(([, call = ""]) => call);
}

/** Every call of a clean pass. */
async function cleanPass(bench: Bench, scenario: Scenario): Promise<readonly string[]> {
  let calls: readonly string[] = [];
  await bench.onCopy(async (share) => {
    const trace = path.join(share, "trace");
    const shell = `exec ${strace} -f -qq -o ${trace} -e signal=none -e trace=${changingCalls} "$@"`;
    const ended = await run(bench.target, podOf(scenario, bench, share), scenario.args, { shell });
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(newestIn(share), scenario.newest);
    calls = callsIn(trace);
  });
  return calls;
}

/** The number of the newest generation. */
function newestIn(share: string): number {
  const names = fs.readdirSync(share, { recursive: true, encoding: "utf8" });
  const numbers = names.map((name) => Number(/\/generations\/(\d+)\.json$/.exec(name)?.[1] ?? 0));
  return Math.max(...numbers);
}

/**
 * Which of its calls a process is to be killed at. strace counts the calls of each name and of each thread by
 * themselves, and which of two threads makes a call is chance: a trial aims at a point, and then sees which it hit.
 */
class Aim {
  readonly #calls: readonly string[];
  readonly #hit = new Set<number>();
  readonly #wanted: number;
  #aims = 0;

  constructor(calls: readonly string[], wanted: number) {
    this.#calls = calls;
    this.#wanted = wanted;
  }

  /** How many points were hit. */
  get hits(): number {
    return this.#hit.size;
  }

  /** The next one, as strace takes it: a name, and which call of this name of some thread. */
  next(): { call: string; when: number } | undefined {
    if (this.#hit.size >= this.#wanted || this.#aims >= aimsPerPoint * this.#wanted) return undefined;
    const open = [...this.#calls.keys()].filter((at) => !this.#hit.has(at));
    const at = open[this.#aims * 7 % open.length] ?? 0;
    const call = this.#calls[at] ?? "";
    const number = this.#calls.slice(0, at + 1).filter((name) => name === call).length;
    const [least, most] = [Math.ceil(number / 2), number];
    return { call, when: Math.min(least + this.#aims++ % 3, most) };
  }

  /** @param at how many calls the process made, the last one not. @returns whether that point is a new one. */
  hit(at: number): boolean {
    const isNew = !this.#hit.has(at - 1) && this.#hit.size < this.#wanted;
    this.#hit.add(at - 1);
    return isNew;
  }
}

function podOf({ settings = {}, saves }: Scenario, bench: Bench, share: string): Pod {
  const tree = saves === undefined ? {} : { TORCHINDUCTOR_CACHE_DIR: bench.treeDir(saves) };
  return bench.pod({ ...fewThreads, ...settings, ...tree }, share);
}

async function killAtPoints(bench: Bench, scenario: Scenario, aim: Aim): Promise<void> {
  const work = async () => {
    for (let next = aim.next(); next; next = aim.next()) {
      const point = next;
      await bench.onCopy((share) => killAt(point, { bench, scenario, aim, share }));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

async function killAt(
  { call, when }: { call: string; when: number },
  { bench, scenario, aim, share }: { bench: Bench; scenario: Scenario; aim: Aim; share: string },
): Promise<void> {
  const { args } = scenario;
  const pod = podOf(scenario, bench, share);
  const trace = path.join(share, "trace");
  const inject = `-e trace=${changingCalls} -e inject=${call}:signal=KILL:when=${when}`;
  const ended = await run(bench.target, pod, args, {
    shell: `exec ${strace} -f -qq -o ${trace} -e signal=none ${inject} "$@"`,
  });
  const made = callsIn(trace).length;
  const where = `${scenario.name}, killed at call ${made}, ${call}`;
  // It may have come to its end before that.
  if (ended.code !== killed) return assert.equal(ended.code, 0, `${where}: ${ended.stderr}`);
  if (!aim.hit(made)) return;
  const [before, after] = [bench.snapshotOf(scenario.before), bench.snapshotOf(scenario.after)];
  const left = await loaded(bench, share);
  const isBefore = differences(before, left).length === 0;
  assert.ok(isBefore || differences(after, left).length === 0, `${where}: ${differences(after, left)}`);
  const isLoad = args.includes("load");
  if (isLoad) assertWholeFiles(snapshot(pod), { expected: after, where });
  const report = await operate(bench.target, pod, args);
  assert.notEqual(report.status, "ERROR", `${where}, then: ${report.message}`);
  if (isLoad) assert.deepEqual(differences(after, snapshot(pod)), [], where);
  assert.deepEqual(differences(after, await loaded(bench, share)), [], where);
}

/** What a fresh pod gets. */
async function loaded(bench: Bench, share: string): Promise<Snapshot> {
  const pod = bench.pod({}, share);
  const report = await operate(bench.target, pod, ["load"]);
  assert.match(report.status, /^(SUCCESS|DOES_NOT_EXIST)$/, report.message);
  return snapshot(pod);
}

/** What is in place. What was on its way there is swept once it is old. */
function snapshot({ torchDir }: Pod): Snapshot {
  const all = fs.existsSync(torchDir) ? [...takeSnapshot(torchDir, resolutionNs)] : [];
  return new Map(all.filter(([file]) => !file.startsWith(".b10-")));
}

function assertWholeFiles(found: Snapshot, { expected, where }: { expected: Snapshot; where: string }): void {
  for (const [file, line] of found) assert.equal(line, expected.get(file), `${where}: ${file}`);
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
          const calls = await cleanPass(bench, scenario);
          const aim = new Aim(calls, Math.ceil(calls.length / scenario.step));
          await killAtPoints(bench, scenario, aim);
          await tell(
            context,
            `faults: ${scenario.name}, ${target.name}: ${aim.hits} crash points; a clean pass makes ${calls.length} calls`,
          );
          assert.ok(aim.hits > calls.length / scenario.step / 2);
        },
      );
    }
  });
}
