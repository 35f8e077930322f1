/**
 * faults.ts [--binary FILE] [NUMBER…]: makes each fault of b10-transfer 0.4.1 happen, with the real one in real processes, does
 * the same to the built program, and prints both. Exits with 1 unless every fault was seen happening and not one of them
 * happens here. Needs a Python with torch (scripts/torch_python.ts), and root: for /cache/model, for another user id, and
 * for mounts that one process sees.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { peerPython } from "../../scripts/peer_python.ts";
import { binary as builtBinary } from "../../scripts/project.ts";
import { onInterruption } from "../../scripts/stress/interrupted.ts";
import { faults } from "./faults/all.ts";
import type { Fault, Finding } from "./faults/fault.ts";
import { formatReport, isRight, type Row } from "./faults/report.ts";
import { killOurs, Stage, type Tools } from "./faults/stage.ts";
import { killPeers, makePlace } from "./peer.ts";

/** Some of them are races, even with the processes stopped where it counts. */
const tries = 3;

interface Options {
  readonly binary: string;
  readonly chosen: readonly Fault[];
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: { binary: { type: "string" } },
    allowPositionals: true,
  });
  const numbers = positionals.map(Number);
  for (const number of numbers) {
    if (!faults.some((fault) => fault.number === number)) throw new Error(`There is no fault ${number}`);
  }
  return {
    binary: path.resolve(values.binary ?? builtBinary),
    chosen: faults.filter(({ number }) => numbers.length === 0 || numbers.includes(number)),
  };
}

/** A fault that is not seen is tried again; ours has one try. */
async function examine(fault: Fault, { dir, tools }: { dir: string; tools: Tools }): Promise<Row> {
  const startMs = performance.now();
  const peer = await tryPeer(fault, { dir, tools });
  const peerMs = performance.now();
  const ours = await findOn(fault.ours, new Stage(path.join(dir, `${fault.number}-ours`), tools));
  const [peerS, oursS] = [peerMs - startMs, performance.now() - peerMs].map((ms) => (ms / 1000).toFixed(1));
  const seen = peer.holds ? "seen" : "NOT SEEN";
  console.error(
    `fault ${fault.number}: ${seen} in ${peerS} s; ours ${ours.holds ? "right" : "FAILS"} in ${oursS} s`,
  );
  return { fault, peer, ours };
}

async function tryPeer(fault: Fault, { dir, tools }: { dir: string; tools: Tools }): Promise<Finding> {
  let finding: Finding = { holds: false, facts: [] };
  for (let tried = 0; tried < tries && !finding.holds; tried++) {
    finding = await findOn(fault.peer, new Stage(path.join(dir, `${fault.number}-peer-${tried}`), tools));
    if (!finding.holds) console.error(`fault ${fault.number}, try ${tried + 1}: ${finding.facts.join("; ")}`);
  }
  return finding;
}

/** Whatever goes wrong is a finding: the other faults are examined all the same. */
async function findOn(find: (stage: Stage) => Promise<Finding>, stage: Stage): Promise<Finding> {
  try {
    return await find(stage);
  } catch (error) {
    return { holds: false, facts: [error instanceof Error ? error.message : String(error)] };
  } finally {
    killAll();
    fs.rmSync(stage.dir, { recursive: true, force: true });
  }
}

function killAll(): void {
  killPeers();
  killOurs();
}

/** Another user can reach a copy, wherever the project lies; and it stays where /tmp is hidden. */
function copyBinary(binary: string, dir: string): string {
  const copy = path.join(dir, "b10-compile-cache");
  fs.copyFileSync(binary, copy);
  fs.chmodSync(copy, 0o755);
  return copy;
}

async function examineAll({ binary, chosen }: Options): Promise<Row[]> {
  const python = await peerPython();
  using place = makePlace();
  onInterruption(() => {
    killAll();
    place[Symbol.dispose]();
  });
  const tools = { python, binary: copyBinary(binary, place.dir) };
  const rows = [];
  for (const fault of chosen) rows.push(await examine(fault, { dir: place.dir, tools }));
  return rows;
}

const startMs = performance.now();
try {
  const rows = await examineAll(readOptions());
  console.log(formatReport(rows));
  const right = rows.filter(isRight).length;
  const elapsedS = Math.round((performance.now() - startMs) / 1000);
  console.log(`\n${right} of ${rows.length} faults seen in b10-transfer 0.4.1 and gone here; ${elapsedS} s`);
  process.exitCode = right === rows.length ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
