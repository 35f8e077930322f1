/** Runs a process of children/ and tells what it took. */
import * as path from "node:path";
import * as v from "valibot";
import { bunExecutable, projectDir } from "../../scripts/project.ts";
import { baseEnvironment } from "../processes/environment.ts";
import { weigh } from "../processes/usage.ts";
import type { CompressJob, DecodeJob, RestoreJob } from "./jobs.ts";
import type { Figures } from "./rounds.ts";

interface Jobs {
  readonly compress: CompressJob;
  readonly decode: DecodeJob;
  readonly restore: RestoreJob;
}

const printedSchema = v.object({
  storedBytes: v.exactOptional(v.number()),
  wallMs: v.number(),
  cpuMs: v.number(),
});

/**
 * Time and CPU are those of the work alone, without the start of the process; the memory is the peak of the process.
 * @throws {Error} where the process fails
 */
export function runChild<Name extends keyof Jobs>(
  name: Name,
  job: Jobs[Name],
): Figures {
  const script = path.join(
    projectDir,
    "bench",
    "pipeline",
    "children",
    `${name}.ts`,
  );
  const { stdout, maxRssBytes } = weigh({
    argv: [bunExecutable, script, JSON.stringify(job)],
    env: baseEnvironment(),
  });
  return { ...v.parse(printedSchema, JSON.parse(stdout)), maxRssBytes };
}
