/** How far a long operation is: a bar on a terminal, at most a line a second in a log. */
import cliProgress from "cli-progress";
import { formatBytes } from "./text.ts";
import type { Clock, Stdio } from "./system.ts";

export interface Progress extends Disposable {
  readonly update: (done: number, total: number) => void;
}

export interface ProgressOptions {
  readonly title: string;
  readonly bar: boolean;
}

/** A line a second, and none for what is over within one. */
const lineIntervalMs = 1000;

export function createProgress(world: { stdio: Stdio; clock: Clock }, options: ProgressOptions): Progress {
  return options.bar ? progressBar(world.stdio, options.title) : progressLines(world, options.title);
}

export const noProgress: Progress = { update: () => {}, [Symbol.dispose]: () => {} };

function progressBar(stdio: Stdio, title: string): Progress {
  const bar = new cliProgress.SingleBar({
    format: `${title} {bar} {percentage}% of {size}`,
    stream: stdio.stderrStream,
    clearOnComplete: true,
    hideCursor: true,
  }, cliProgress.Presets.shades_classic);
  let started = false;
  return {
    update: (done, total) => {
      if (!started) bar.start(total, 0, { size: formatBytes(total) });
      started = true;
      bar.update(done);
    },
    [Symbol.dispose]: () => {
      if (started) bar.stop();
    },
  };
}

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
