/** Every experiment of the platform suite by its name. What each returns goes through JSON. */
import { fence, fenceIsRefused, fileSystemInside, noFollow, symlinksOut } from "./experiments/fence.ts";
import { directories, exclusive, links, modes, times } from "./experiments/files.ts";
import { host } from "./experiments/host.ts";
import { http } from "./experiments/http.ts";
import {
  abort,
  capturedOutput,
  exitCodes,
  inheritedStdin,
  realTimeDeath,
  signals,
  startErrors,
  terminate,
  timeouts,
} from "./experiments/processes.ts";
import { environment, writeMuch } from "./experiments/stdio.ts";
import { compression, damage, decoding, manyFrames, windows } from "./experiments/zstd.ts";

export const experiments = {
  abort,
  capturedOutput,
  compression,
  damage,
  decoding,
  directories,
  environment,
  exclusive,
  exitCodes,
  fence,
  fenceIsRefused,
  fileSystemInside,
  host,
  http,
  inheritedStdin,
  links,
  manyFrames,
  modes,
  noFollow,
  realTimeDeath,
  signals,
  startErrors,
  symlinksOut,
  terminate,
  timeouts,
  times,
  windows,
  writeMuch,
};

export type ExperimentName = keyof typeof experiments;

export type Observation<Name extends ExperimentName> = Awaited<ReturnType<typeof experiments[Name]>>;

export function isExperimentName(name: string): name is ExperimentName {
  return Object.hasOwn(experiments, name);
}
