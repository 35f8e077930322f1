/** With TORCHINDUCTOR_CACHE_DIR=/tmp its clear removes all of /tmp. Played in a /tmp that only one process sees. */
import type { Fault, Finding } from "./fault.ts";
import { canMount, withOwnTmp } from "./namespace.ts";
import { type Stage, statusOf } from "./stage.ts";

const precious = "somebody-elses-file";
const settings = { TORCHINDUCTOR_CACHE_DIR: "/tmp" };

function requireNamespace(): void {
  if (!canMount()) {
    throw new Error("Cannot play with /tmp as this user cannot mount another one for one process");
  }
}

async function peer(stage: Stage): Promise<Finding> {
  requireNamespace();
  const pod = stage.pod("pod", settings);
  const run = await stage.peer(pod, ["list-tmp", "clear", "list-tmp"], { privateTmp: [precious] });
  const [before, , after] = run.results.map(({ status }) => status);
  return {
    holds: before === precious && after === "",
    facts: [`clear_local_cache() on a private /tmp: ${precious} before it, ${after || "nothing"} after it`],
  };
}

async function ours(stage: Stage): Promise<Finding> {
  requireNamespace();
  const run = await stage.ours(stage.pod("pod", settings), ["clear"], { prefix: withOwnTmp(precious) });
  const left = run.stderr.trim();
  return {
    holds: run.code === 1 && run.result?.status === "ERROR" && left === precious,
    facts: [`clear on a private /tmp: ${statusOf(run)}, exit ${run.code}; ${left || "nothing"} is left`],
  };
}

export const clearOfTmp: Fault = {
  number: 11,
  title: "With /tmp as the cache directory, a clear removes all of /tmp",
  peer,
  ours,
};
