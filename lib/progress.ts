/** How far a long operation is: a bar on a terminal, at most a line a second in a log. */
import { formatBytes } from "./text.ts";
import type { Clock, Stdio } from "./system.ts";

export interface Progress extends Disposable {
  readonly update: (done: number, total: number) => void;
}

/** Makes a progress for the operation of this title. */
export type ProgressMaker = (title: string) => Progress;

/** A line a second, and none for what is over within one. */
const lineIntervalMs = 1000;

/**
 * Where stderr is a terminal that can move its cursor, the module of the bar is loaded: now, as its files can no
 * longer be read once the program is confined.
 */
export async function progressMaker(
  world: { stdio: Stdio; clock: Clock },
  terminal: boolean,
): Promise<ProgressMaker> {
  if (!terminal) return (title) => progressLines(world, title);
  const { progressBar } = await import("./progress_bar.ts");
  return (title) => progressBar(world.stdio, title);
}

export const noProgress: Progress = { update: () => {}, [Symbol.dispose]: () => {} };

function progressLines({ stdio, clock }: { stdio: Stdio; clock: Clock }, title: string): Progress {
  let lastMs = clock.monotonicMs();
  return {
    update: (done, total) => {
      const nowMs = clock.monotonicMs();
      if (nowMs - lastMs < lineIntervalMs) return;
      lastMs = nowMs;
      const percent = total > 0 ? Math.floor((done / total) * 100) : 100;
      stdio.stderr(`b10-compile-cache: ${title} ${percent} % of ${formatBytes(total)}\n`);
    },
    [Symbol.dispose]: () => {},
  };
}
