/** The bar on a terminal, by cli-progress. */
import cliProgress from "cli-progress";
import type { Progress } from "./progress.ts";
import type { Stdio } from "./system.ts";
import { formatBytes } from "./text.ts";

export function progressBar(stdio: Stdio, title: string): Progress {
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
