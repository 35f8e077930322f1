/** Round trips by what they are for. Pure. */
import type { ShareCall } from "./watched_files.ts";

export interface Counted {
  readonly name: string;
  readonly calls: number;
  readonly bytes: number;
}

/** By the name of the operation, the most frequent first. */
export function countCalls(calls: readonly ShareCall[]): Counted[] {
  const names = [...new Set(calls.map(({ name }) => name))];
  return names.map((name) => {
    const those = calls.filter((call) => call.name === name);
    return {
      name,
      calls: those.length,
      bytes: those.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }).sort((a, b) => b.calls - a.calls);
}
