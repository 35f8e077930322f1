/** Who started whom, as /proc tells it. */
import * as fs from "node:fs";

/** All that a process started, and what those started, parents first. */
export function descendantsOf(pid: number): number[] {
  return familyOf(pid, readParents());
}

function familyOf(pid: number, parents: ReadonlyMap<number, number>): number[] {
  const children = [...parents].filter(([, parent]) => parent === pid).map(([child]) => child);
  return children.flatMap((child) => [child, ...familyOf(child, parents)]);
}

function readParents(): Map<number, number> {
  const pids = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  return new Map(pids.map((pid) => [pid, parentOf(pid)]));
}

/** @returns 0 where it has ended. */
function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return 0;
  }
}
