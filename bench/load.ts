/**
 * load.ts [ROUNDS]: whole-process load and save of the real cache in tests/fixtures, taking turns with
 * `tar --zstd` and, where PEER_VENV names a Python environment that has it, b10-transfer 0.4.1; all in memory.
 * Prints medians and ratios and writes them to bench/results/load.json.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { run } from "../scripts/process.ts";
import { expectStatus, makeFastDir, operate } from "../scripts/program.ts";
import { projectDir } from "../scripts/project.ts";
import { differences, takeSnapshot } from "../scripts/snapshot.ts";
import { formatTable, megabytes, seconds } from "../scripts/table.ts";
import { fixtureBytes, fixtureFiles, unpackFixture } from "../tests/fixture.ts";
import { type Contender, type Measured, race } from "./contender.ts";
import { describeMachine } from "./machine.ts";
import { mountCache, peer, peerProblem, peerPython } from "./peer.ts";

const defaultRounds = 7;
const commandTimeoutMs = 120 * 1000;
const ours = "b10-compile-cache";

interface Places {
  /** What is saved, and what every load must equal. */
  readonly tree: string;
  readonly target: string;
  readonly archive: string;
  readonly settings: Readonly<Record<string, string>>;
}

function placesIn(base: string): Places {
  return {
    tree: path.join(base, "tree"),
    target: path.join(base, "target"),
    archive: path.join(base, "tree.tar.zst"),
    settings: {
      HOME: path.join(base, "home"),
      LOCAL_WORK_DIR: path.join(base, "work"),
      B10FS_CACHE_DIR: path.join(base, "share", "compile_cache"),
      B10_CACHE_ALLOWED_PREFIXES: base,
      // The peer's Python is this pod's, for both; else the one on the PATH.
      ...(peerPython ? { B10_CACHE_PYTHON: peerPython } : {}),
    },
  };
}

function emptied(...dirs: readonly string[]): void {
  for (const dir of dirs) fs.rmSync(dir, { recursive: true, force: true });
}

function program(operation: "load" | "save", { tree, target, settings }: Places): Contender {
  const workDir = settings["LOCAL_WORK_DIR"] ?? "";
  const storeDir = settings["B10FS_CACHE_DIR"] ?? "";
  return {
    name: ours,
    prepare: () => emptied(workDir, operation === "load" ? target : storeDir),
    run: async () => {
      const torchDir = operation === "load" ? target : tree;
      const outcome = await operate(operation, { ...settings, TORCHINDUCTOR_CACHE_DIR: torchDir });
      expectStatus(outcome, "SUCCESS");
      return outcome.processMs;
    },
  };
}

/** One command of the shell, as a contender. */
function command(name: string, options: { prepare: () => void; script: string }): Contender {
  return {
    name,
    prepare: options.prepare,
    run: async () => {
      const startMs = performance.now();
      await run(["sh", "-c", options.script], { timeoutMs: commandTimeoutMs });
      return performance.now() - startMs;
    },
  };
}

function tarLoad({ target, archive }: Places): Contender {
  return command("tar --zstd -xf", {
    prepare: () => {
      emptied(target);
      fs.mkdirSync(target);
    },
    script: `tar --zstd -xf ${archive} -C ${target}`,
  });
}

function tarSave({ tree, archive }: Places): Contender {
  return command("tar | zstd --long=27", {
    prepare: () => emptied(archive),
    script: `tar -cf - -C ${tree} . | zstd --quiet --long=27 -o ${archive}`,
  });
}

async function gzipBytes({ tree }: Places, base: string): Promise<number> {
  const archive = path.join(base, "tree.tar.gz");
  await run(["sh", "-c", `tar -cf - -C ${tree} . | gzip -6 > ${archive}`], { timeoutMs: commandTimeoutMs });
  return fs.statSync(archive).size;
}

function checkTarget({ tree, target }: Places): void {
  const [first] = differences(takeSnapshot(tree), takeSnapshot(target));
  if (first) throw new Error(`What was loaded differs from what was saved: ${first}`);
}

function report(title: string, measured: readonly Measured[]): void {
  const own = measured.find(({ name }) => name === ours)?.medianMs ?? NaN;
  const rows = measured.map(({ name, runsMs, medianMs }) => [
    name,
    seconds(medianMs),
    seconds(Math.min(...runsMs)),
    seconds(Math.max(...runsMs)),
    (medianMs / own).toFixed(2),
  ]);
  console.log(`${formatTable([title, "median", "fastest", "slowest", "÷ ours"], rows)}\n`);
}

async function measure(base: string, options: { rounds: number; withPeer: boolean }): Promise<void> {
  const places = placesIn(base);
  fs.mkdirSync(path.join(base, "share"), { recursive: true });
  await unpackFixture(places.tree);
  const saves = [program("save", places), tarSave(places)];
  const loads = [program("load", places), tarLoad(places)];
  if (options.withPeer) {
    saves.push(peer("save", places.tree));
    loads.push(peer("load", places.target));
  }

  const saved = await race(saves, options);
  // Every contender's last save is still there to be loaded.
  const loaded = await race(loads, options);
  program("load", places).prepare();
  const last = await operate("load", { ...places.settings, TORCHINDUCTOR_CACHE_DIR: places.target });
  expectStatus(last, "SUCCESS");
  checkTarget(places);

  const machine = await describeMachine(base);
  const stored = {
    oursBytes: last.stored_bytes,
    gzip6Bytes: await gzipBytes(places, base),
    zstdLong27Bytes: fs.statSync(places.archive).size,
  };
  const how = ["deno task bench", ...process.argv.slice(2)].join(" ");
  console.log(
    `${how}: ${fixtureFiles} files, ${megabytes(fixtureBytes)}, ${options.rounds} rounds on ` +
      `${machine.fileSystem}, ${machine.cores} cores of ${machine.cpu}, ${machine.kernel}\n`,
  );
  report("load", loaded);
  report("save", saved);
  const sizes = [
    [ours, megabytes(stored.oursBytes), "1.00"],
    [
      "zstd --long=27",
      megabytes(stored.zstdLong27Bytes),
      (stored.zstdLong27Bytes / stored.oursBytes).toFixed(2),
    ],
    ["gzip -6", megabytes(stored.gzip6Bytes), (stored.gzip6Bytes / stored.oursBytes).toFixed(2)],
  ];
  console.log(formatTable(["stored", "size", "÷ ours"], sizes));
  const results = path.join(projectDir, "bench", "results");
  fs.mkdirSync(results, { recursive: true });
  const content = { command: how, takenAt: new Date().toISOString(), machine, loaded, saved, stored };
  fs.writeFileSync(path.join(results, "load.json"), `${JSON.stringify(content, null, 2)}\n`);
}

const rounds = Number(process.argv[2] ?? defaultRounds);
if (!Number.isInteger(rounds) || rounds < 1) {
  throw new Error(`Cannot measure "${process.argv[2]}" rounds as it must be a whole number from 1`);
}
const problem = peerProblem();
if (problem === undefined) {
  await using _mounted = await mountCache();
  await measure("/cache/bench", { rounds, withPeer: true });
} else {
  console.log(`Without b10-transfer in the comparison, as ${problem}.\n`);
  const base = makeFastDir("b10-bench");
  try {
    await measure(base, { rounds, withPeer: false });
  } finally {
    fs.rmSync(base, { recursive: true });
  }
}
