/**
 * contract.ts: the same calls on b10-transfer 0.4.1 and on the package that replaces it, and every difference between
 * their answers. Exits non-zero where a difference is not among the intended ones, an intended one is not seen, or the
 * table in docs/moving-from-b10-transfer.md is not what contract/intended.ts says. An argument names the scenarios.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { projectDir } from "../../scripts/project.ts";
import { peerPython } from "../../scripts/peer_python.ts";
import { differences } from "./contract/intended.ts";
import { ownPackage, peerPackage } from "./contract/packages.ts";
import { Runner } from "./contract/run.ts";
import type { Answer, Scenario } from "./contract/scenario.ts";
import { scenarios } from "./contract/scenarios.ts";
import { differenceTable } from "./contract/table.ts";
import { makePlace } from "./peer.ts";

interface Compared {
  readonly scenario: Scenario;
  readonly peer: Answer;
  readonly ours: Answer;
}

function isSame(a: Answer, b: Answer): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

async function compareAll(only: string | undefined): Promise<Compared[]> {
  const python = await peerPython();
  using share = makePlace();
  const [peerDir, ownDir] = ["peer", "own"].map((name) => path.join(share.dir, name));
  if (!peerDir || !ownDir) throw new Error("There is no share");
  for (const dir of [peerDir, ownDir]) fs.mkdirSync(dir);
  await using peer = new Runner(peerPackage(python), peerDir);
  await using own = new Runner(ownPackage(python), ownDir);
  const compared: Compared[] = [];
  for (const scenario of scenarios) {
    if (only !== undefined && !scenario.name.includes(only)) continue;
    // Side by side: each has its own process and its own share.
    const [peers, ours] = await Promise.all([peer.run(scenario), own.run(scenario)]);
    compared.push({ scenario, peer: peers, ours });
  }
  return compared;
}

/** What is wrong with a comparison, if anything. */
function problemOf({ scenario, peer, ours }: Compared): string | undefined {
  const intended = differences.find((difference) => difference.scenario === scenario.name);
  if (!intended) return isSame(peer, ours) ? undefined : "a difference that is not intended";
  if (!isSame(peer, intended.peer)) return "b10-transfer does not do what the table says";
  return isSame(ours, intended.ours) ? undefined : "this package does not do what the table says";
}

/** A formatter pads the cells of the page's table. */
function isInDocs(): boolean {
  const page = path.join(projectDir, "docs", "moving-from-b10-transfer.md");
  const plain = (text: string) => text.replace(/ +/g, " ").replace(/-+/g, "-");
  return plain(fs.readFileSync(page, "utf8")).includes(plain(differenceTable(differences)));
}

const compared = await compareAll(process.argv[2]);
let problems = 0;
for (const each of compared) {
  const problem = problemOf(each);
  if (problem) problems++;
  const same = isSame(each.peer, each.ours);
  console.log(
    `${problem ? "BUG" : same ? "same" : "meant"}  ${each.scenario.name}${problem ? `: ${problem}` : ""}`,
  );
  if (same && !problem) continue;
  for (const line of each.peer) console.log(`       b10-transfer  ${line}`);
  for (const line of each.ours) console.log(`       ours          ${line}`);
}
const known = new Set(scenarios.map(({ name }) => name));
const stale = differences.filter(({ scenario }) => !known.has(scenario));
for (const { scenario } of stale) console.log(`BUG  no scenario is called ${scenario}`);
if (!isInDocs()) {
  problems++;
  console.log("BUG  the table of docs/moving-from-b10-transfer.md must be:");
  console.log(differenceTable(differences));
}
const meant = compared.filter(({ peer, ours }) => !isSame(peer, ours)).length;
console.log(
  `${compared.length} scenarios: ${compared.length - meant} the same, ${meant} different, ${problems} bugs`,
);
process.exitCode = problems + stale.length > 0 ? 1 : 0;
