/** What processes cost beside time: CPU and memory, in a run that is not timed. */
import { spawnSync } from "node:child_process";
import * as path from "node:path";
import * as v from "valibot";
import { projectDir } from "../../scripts/project.ts";
import { type Command, commandTimeoutMs } from "./command.ts";

const launcher = path.join(projectDir, "bench", "processes", "launch.py");
const maxOutputBytes = 64 * 1024 * 1024;

const weighedSchema = v.array(v.object({
  code: v.number(),
  started_ms: v.number(),
  elapsed_ms: v.number(),
  cpu_ms: v.number(),
  max_rss_bytes: v.number(),
  stdout: v.string(),
  stderr: v.string(),
}));

export interface Weighed {
  /** Since the first of those that were started at once. */
  readonly startedMs: number;
  readonly elapsedMs: number;
  /** Of the process and all its children. */
  readonly cpuMs: number;
  /** The peak of its largest process, and never less than 10 MB, which the launcher itself takes. */
  readonly maxRssBytes: number;
  readonly stdout: string;
}

/**
 * Starts all of `commands` at once and waits for the last, in the same order. Needs a python3 on the PATH.
 * @throws {Error} where one of them fails
 */
export function weighAtOnce(commands: readonly Command[]): Weighed[] {
  const launched = spawnSync("python3", ["-S", "-E", launcher], {
    input: JSON.stringify(commands),
    encoding: "utf8",
    timeout: commandTimeoutMs,
    maxBuffer: maxOutputBytes,
  });
  if (launched.error) {
    throw new Error(
      `Cannot run python3, which weighs processes: ${launched.error.message}`,
      {
        cause: launched.error,
      },
    );
  }
  if (launched.status !== 0) {
    throw new Error(
      `launch.py failed with exit status ${launched.status}: ${launched.stderr}`,
    );
  }
  return v.parse(weighedSchema, JSON.parse(launched.stdout)).map((one, at) => {
    if (one.code !== 0) {
      const { argv = [] } = commands[at] ?? {};
      throw new Error(
        `"${argv.join(" ")}" failed with exit status ${one.code}: ${one.stdout}${one.stderr}`,
      );
    }
    return {
      startedMs: one.started_ms,
      elapsedMs: one.elapsed_ms,
      cpuMs: one.cpu_ms,
      maxRssBytes: one.max_rss_bytes,
      stdout: one.stdout,
    };
  });
}

/** @throws {Error} where it fails */
export function weigh(command: Command): Weighed {
  const [weighed] = weighAtOnce([command]);
  if (!weighed) {
    throw new Error(`launch.py told nothing of "${command.argv.join(" ")}"`);
  }
  return weighed;
}
