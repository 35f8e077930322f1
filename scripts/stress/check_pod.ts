/** I2: what may be found on a pod, at any moment at which none of its own operations runs. */
import * as fs from "node:fs";
import * as path from "node:path";
import { takeSnapshot } from "../snapshot.ts";
import type { Pod } from "./pod.ts";
import { isStaged, missingBeside } from "./tree.ts";

/** @returns in sentences, what should not be as it is. */
export function podProblems(pod: Pod): string[] {
  const found = new Map([...takeSnapshot(pod.torchDir)].filter(([name]) => !isStaged(name)));
  const stagings = stagingDirs(pod);
  return [
    ...[...found].flatMap(([name, line]) => fileProblems(pod, name, line)),
    ...[...pod.own.keys()].filter((name) => !found.has(name)).map((name) => `${name} is gone`),
    ...(stagings.length > pod.killedLoads
      ? [`${stagings.length} staging directories after ${pod.killedLoads} loads that were killed`]
      : []),
  ].map((problem) => `${pod.name}: ${problem}`);
}

/** Whole paths of what loads left behind. */
export function stagingDirs({ torchDir }: Pod): string[] {
  return fs.readdirSync(torchDir).filter(isStaged).map((name) => path.join(torchDir, name));
}

function fileProblems({ own, cache, torchDir }: Pod, name: string, line: string): string[] {
  const mine = own.get(name);
  const missing = missingBeside(path.join(torchDir, name)).map((other) => `${name} lists ${other}`);
  if (mine !== undefined) return mine === line ? missing : [`${name} was ${mine}, and is ${line}`];
  return cache.journal.hasWritten(name, line) ? missing : [`${name} is as nobody wrote it: ${line}`];
}
