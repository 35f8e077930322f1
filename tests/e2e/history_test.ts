/** Whole programs that stop, sleep and wake at the worst moments: no reported save is lost, and nobody cleans up. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { differences, takeSnapshot } from "../../scripts/snapshot.ts";
import { mainProgram, ownRuntime, selectTargets, type Target } from "../targets.ts";
import {
  type Ended,
  Fleet,
  operate,
  type Pod,
  reportOf,
  run,
  start,
  storeFiles,
  testTimeoutMs,
  writeLargeTree,
  writeTree,
} from "./fleet.ts";
import { waitForFile } from "./server.ts";

const strace = ["/usr/bin/strace", "/bin/strace"].find((file) => fs.existsSync(file));
/** Of threads too, and stopping at no call but the traced ones: a start takes half as long as it otherwise would. */
const tracer = `exec ${strace} -f --seccomp-bpf -o /dev/null -e signal=none`;
const noStrace = strace === undefined ? "strace is not installed" : false;

/** What the coarsest runtime keeps of a modification time. */
const resolutionNs = 1_000_000n;

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for something that another process brings about. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const startedMs = performance.now();
  while (!holds()) {
    if (performance.now() - startedMs > testTimeoutMs / 4) throw new Error(`It never happened that ${what}`);
    await later(1);
  }
}

/** A program whose calls of some kinds are slow, so that it can be stopped between two of them. */
class SlowRun {
  readonly ended: Promise<Ended>;
  readonly #pidFile: string;

  /** @param slow system calls, and by how much each is slower, in ms. */
  constructor(
    fleet: Fleet,
    { target, pod, args, slow }: {
      target: Target;
      pod: Pod;
      args: string[];
      slow: { calls: string; ms: number };
    },
  ) {
    this.#pidFile = path.join(fleet.base, "pid");
    const inject = `-e trace=${slow.calls} -e inject=${slow.calls}:delay_enter=${slow.ms * 1000}`;
    // The program takes the shell's place and number.
    const shell = `${tracer} ${inject} /bin/sh -c 'echo $$ >"$0"; exec "$@"' ${this.#pidFile} "$@"`;
    this.ended = start(target, pod, args, { shell }).ended;
  }

  signal(name: NodeJS.Signals): void {
    process.kill(Number(fs.readFileSync(this.#pidFile, "utf8")), name);
  }
}

function generationFile(fleet: Fleet, n: number): string {
  const [first = ""] = storeFiles(fleet, ".json").filter((file) => file.includes("/generations/"));
  return path.join(path.dirname(first), `${String(n).padStart(10, "0")}.json`);
}

function layersOf(fleet: Fleet): string[] {
  return storeFiles(fleet, ".tar.zst").filter((file) => path.basename(path.dirname(file)) === "layers");
}

/** What a fresh pod gets. */
async function loadedBy(target: Target, pod: Pod): Promise<ReadonlyMap<string, string>> {
  assert.equal((await operate(target, pod, ["load"])).status, "SUCCESS");
  return takeSnapshot(pod.torchDir, resolutionNs);
}

/** For a prune that waits for nobody long: two runs, this long apart, do all of it. */
const hasty = { B10_CACHE_PRUNE_GRACE_S: "1", B10_CACHE_LOAD_TIMEOUT_S: "1", B10_CACHE_SAVE_TIMEOUT_S: "1" };
const graceMs = 2_200;

/** How long the share hangs: much longer than any deadline here, and the 5 s in which an operation cleans up. */
const hangMs = 25_000;

/** By when a command must have ended that waits for nothing: several start at once, under a tracer, on a machine that may be busy. */
const promptMs = 12_000;

async function pruneTwice(target: Target, pruner: Pod): Promise<void> {
  await operate(target, pruner, ["prune", "--keep-last", "2"]);
  await later(graceMs);
  await operate(target, pruner, ["prune", "--keep-last", "2"]);
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`history, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };
    const traced = { ...options, skip: target.skip || noStrace };

    test(
      "a saver that sleeps before its commit, past every timeout and two prunes, loses nothing",
      traced,
      async () => {
        using fleet = new Fleet();
        const [first, sleeper, pruner] = [
          fleet.pod("first"),
          fleet.pod("sleeper"),
          fleet.pod("pruner", hasty),
        ];
        writeTree(first.torchDir, "first");
        await operate(target, first, ["save"]);
        writeTree(sleeper.torchDir, "sleeper");
        const known = layersOf(fleet);
        const saving = new SlowRun(fleet, {
          target,
          pod: sleeper,
          args: ["save", "--json"],
          slow: { calls: "fsync", ms: 1_000 },
        });
        await until("the sleeper has published its layer", () => layersOf(fleet).length > known.length);
        saving.signal("SIGSTOP");
        const [layer = ""] = layersOf(fleet).filter((file) => !known.includes(file));
        assert.ok(!fs.existsSync(generationFile(fleet, 2)), "it was stopped after its commit");

        // Its leases time out, others commit on, and two prunes remove its layer and the number that it wants.
        for (const label of ["a", "b", "c", "d"]) {
          const other = fleet.pod(label);
          writeTree(other.torchDir, label);
          assert.equal((await operate(target, other, ["save"])).status, "SUCCESS");
        }
        await pruneTwice(target, pruner);
        assert.ok(!fs.existsSync(layer), "the prunes left the sleeper's layer");
        assert.ok(!fs.existsSync(generationFile(fleet, 2)), "the prunes left the superseded number");

        saving.signal("SIGCONT");
        const saved = reportOf(await saving.ended);
        assert.equal(saved.status, "SUCCESS", saved.message);
        const found = await loadedBy(target, fleet.pod("fresh"));
        for (const label of ["first", "sleeper", "a", "b", "c", "d"]) {
          assert.ok(found.has(`aa/${label}.py`), `${label} is lost`);
        }
        await pruneTwice(target, pruner);
        assert.ok(!fs.existsSync(generationFile(fleet, 2)), "the number that it won late stays");
        const verified = await operate(target, pruner, ["verify"]);
        assert.equal(verified.status, "SUCCESS", verified.message);
      },
    );

    test("a loader that is stopped in the middle of a merge is in nobody's way", traced, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two")];
      writeLargeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const expected = takeSnapshot(one.torchDir, resolutionNs);
      const loading = new SlowRun(fleet, {
        target,
        pod: two,
        args: ["load", "--json"],
        slow: { calls: "link,linkat", ms: 10 },
      });
      const placed = () => fs.existsSync(two.torchDir) ? fs.readdirSync(two.torchDir).length : 0;
      await until("some files are placed", () => placed() > 20);
      loading.signal("SIGSTOP");
      assert.ok(placed() < expected.size, "it was stopped after the merge");
      const second = await operate(target, two, ["load"]);
      assert.equal(second.status, "SUCCESS", second.message);
      loading.signal("SIGCONT");
      assert.equal(reportOf(await loading.ended).status, "SUCCESS");
      assert.deepEqual(differences(expected, takeSnapshot(two.torchDir, resolutionNs)), []);
    });

    test(
      "two pods whose paths conflict save at once: one of each stays, and the cache loads",
      options,
      async () => {
        using fleet = new Fleet();
        const [one, two] = [fleet.pod("one"), fleet.pod("two")];
        writeTree(one.torchDir, "one");
        writeTree(two.torchDir, "two");
        fs.rmSync(path.join(two.torchDir, "fxgraph"), { recursive: true });
        fs.writeFileSync(path.join(two.torchDir, "fxgraph"), "a file here");
        const ended = await Promise.all([one, two].map((pod) => run(target, pod, ["save", "--json"])));
        assert.deepEqual(ended.map((save) => reportOf(save).status), ["SUCCESS", "SUCCESS"]);
        assert.match(
          ended.map(({ stderr }) => stderr).join(),
          /left out as the store has a file where this pod has/,
        );
        const found = await loadedBy(target, fleet.pod("fresh"));
        assert.ok(found.has("aa/one.py") && found.has("aa/two.py"));
        assert.equal(found.has("fxgraph"), !found.has("fxgraph/bb/one/entry"));
        assert.equal((await operate(target, one, ["verify"])).status, "SUCCESS");
      },
    );

    test("a rotten frame that only the next save can heal: nobody deletes anything", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two")];
      writeTree(one.torchDir, "one");
      await operate(target, one, ["save"]);
      const [intact = ""] = layersOf(fleet);
      writeTree(two.torchDir, "two");
      await operate(target, two, ["save"]);
      const [rotten = ""] = layersOf(fleet).filter((file) => file !== intact);
      rot(rotten);

      const loaded = await run(target, fleet.pod("three"), ["load", "--json"]);
      const report = reportOf(loaded);
      assert.deepEqual([report.status, report["generation"]], ["SUCCESS", 1], loaded.stderr);
      assert.match(loaded.stderr, /generation 2 cannot be loaded: Cannot use the frame at 0 of layer/);
      const verified = await run(target, one, ["verify"]);
      assert.equal(verified.code, 1);
      assert.ok(verified.stdout.includes(path.basename(rotten)), verified.stdout);

      // The next save knows by the mark, and any pod's will do: this one adds what it has itself.
      const healed = await run(target, two, ["save", "--json"]);
      assert.equal(reportOf(healed).status, "SUCCESS", healed.stderr);
      assert.match(healed.stderr, /is no longer part of the cache/);
      const found = await loadedBy(target, fleet.pod("four"));
      assert.ok(found.has("aa/one.py") && found.has("aa/two.py"));
      assert.equal((await operate(target, one, ["verify"])).status, "SUCCESS");
      assert.equal((await operate(target, two, ["save"])).status, "SKIPPED");
      assert.deepEqual(storeFiles(fleet, ".json").filter((file) => file.includes("/marks/")), []);
    });

    test(
      "where the only layer is rotten loads fail, until the next save heals the cache",
      options,
      async () => {
        using fleet = new Fleet();
        const [one, two] = [fleet.pod("one"), fleet.pod("two")];
        writeTree(one.torchDir, "one");
        await operate(target, one, ["save"]);
        rot(layersOf(fleet)[0] ?? "");
        assert.equal((await operate(target, two, ["load"])).code, "bad_layer");
        assert.equal((await operate(target, one, ["save"])).status, "SUCCESS");
        assert.deepEqual(
          differences(takeSnapshot(one.torchDir, resolutionNs), await loadedBy(target, two)),
          [],
        );
      },
    );

    test("many small layers are rewritten into few, and every pod's files are there", options, async () => {
      using fleet = new Fleet();
      const labels = ["a", "b", "c", "d", "e", "f"];
      for (const label of labels) {
        const pod = fleet.pod(label, { B10_CACHE_COMPACT_AFTER: "3" });
        writeTree(pod.torchDir, label);
        assert.equal((await operate(target, pod, ["save"])).status, "SUCCESS");
      }
      const { caches } = await operate(target, fleet.pod("lister"), ["list"]);
      const [cache] = caches as unknown as { layers: number }[];
      assert.ok(cache && cache.layers <= 3, JSON.stringify(cache));
      const found = await loadedBy(target, fleet.pod("fresh"));
      for (const label of labels) assert.ok(found.has(`aa/${label}.py`), label);
    });

    test("a file that was restored and rewritten since takes the stored one's place", options, async () => {
      using fleet = new Fleet();
      const [one, two, three] = [fleet.pod("one"), fleet.pod("two"), fleet.pod("three")];
      writeTree(one.torchDir, "one");
      await operate(target, one, ["save"]);
      await operate(target, two, ["load"]);
      // A file that this pod never restored is not replaced, whatever its bytes.
      fs.mkdirSync(path.join(three.torchDir, "aa"), { recursive: true });
      fs.writeFileSync(path.join(three.torchDir, "aa/one.py"), "compiled by three itself");
      assert.equal((await operate(target, three, ["save"])).status, "SKIPPED");
      const model = path.join(two.torchDir, "aa/one.py");
      fs.writeFileSync(`${model}.new`, "rewritten by two");
      fs.renameSync(`${model}.new`, model);
      const saved = await operate(target, two, ["save"]);
      assert.deepEqual([saved.status, saved["files"]], ["SUCCESS", 1], saved.message);
      const fresh = fleet.pod("fresh");
      await operate(target, fresh, ["load"]);
      assert.equal(fs.readFileSync(path.join(fresh.torchDir, "aa/one.py"), "utf8"), "rewritten by two");
    });

    test(
      "a share that hangs: every command ends by its deadline, and run starts its command",
      traced,
      async () => {
        using fleet = new Fleet();
        const pod = fleet.pod("one", {
          B10_CACHE_LOAD_TIMEOUT_S: "1",
          B10_CACHE_SAVE_TIMEOUT_S: "1",
          B10_CACHE_MAINTENANCE_TIMEOUT_S: "1",
        });
        writeTree(pod.torchDir);
        await operate(target, fleet.pod("two"), ["load"]);
        // The tracer ends when the slow calls do: how long the program itself took is in its report.
        const hang = `${tracer} -P ${fleet.storeDir} -P ${fleet.share} -e trace=%file ` +
          `-e inject=%file:delay_enter=${hangMs * 1000} "$@"`;
        const commands = [["load"], ["save"], ["list"], ["status"], ["verify"], [
          "prune",
          "--keep-last",
          "2",
        ]];
        const begun = path.join(fleet.base, "begun");
        const startedMs = performance.now();
        const command = ["/bin/sh", "-c", `: >${begun}; exit 7`];
        const running = run(target, pod, ["run", "--", ...command], { shell: hang });
        // Alone: how soon it starts its command is told from outside, its own start under the tracer included.
        await waitForFile(begun);
        assert.ok(performance.now() - startedMs < promptMs + 1_000, "run waited for the share");
        await Promise.all(commands.map(async (args) => {
          const ended = await run(target, pod, [...args, "--json"], { shell: hang });
          const report = reportOf(ended);
          assert.deepEqual(
            [report.status, report.code, ended.code],
            ["ERROR", "deadline", 1],
            args.join(" "),
          );
          assert.match(report.message, /B10_CACHE_(LOAD|SAVE|MAINTENANCE)_TIMEOUT_S/);
          assert.ok(report.elapsed_ms < promptMs, `${args.join(" ")} waited for the share`);
        }));
        const ran = await running;
        assert.equal(ran.code, 7, ran.stderr);
      },
    );
  });
}

/** Flips a byte of a layer's first frame. */
function rot(layer: string): void {
  const bytes = fs.readFileSync(layer);
  bytes[40] = (bytes[40] ?? 0) ^ 0xff;
  fs.writeFileSync(layer, bytes);
}
