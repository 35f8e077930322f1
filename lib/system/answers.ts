/**
 * What other programs answer is asked once: a program started anew inside the kernel's fence goes by what they said
 * outside. nvidia-smi has to write to a device.
 */
import * as v from "valibot";
import type { CapturedRun, Processes } from "../system.ts";

export const answerSchema = v.strictObject({
  argv: v.array(v.string()),
  run: v.strictObject({ code: v.number(), timedOut: v.boolean(), stdout: v.string(), stderr: v.string() }),
});

/** What a command printed, and how it ended. */
export interface Answer {
  readonly argv: readonly string[];
  readonly run: CapturedRun;
}

export interface AskedProcesses extends Processes {
  /** Those of this process, the newest of each command. */
  readonly answers: () => readonly Answer[];
}

/** @param known answers that stand, whatever a command would say now. */
export function askOnce(processes: Processes, known: readonly Answer[]): AskedProcesses {
  const name = (argv: readonly string[]) => JSON.stringify(argv);
  const standing = new Map(known.map(({ argv, run }) => [name(argv), run]));
  const asked = new Map<string, Answer>();
  return {
    ...processes,
    capture: async (argv, options) => {
      const answer = standing.get(name(argv));
      if (answer) return answer;
      const run = await processes.capture(argv, options);
      asked.set(name(argv), { argv, run });
      return run;
    },
    answers: () => [...asked.values()],
  };
}
