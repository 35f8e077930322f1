/**
 * With TORCHINDUCTOR_CACHE_DIR=/tmp its clear removes all of /tmp. Played in a /tmp that only one process sees; where this
 * user cannot mount one, b10-transfer is kept from removing anything, and the binary gets a prefix of its own.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Fault, Finding } from "./fault.ts";
import { canMount, withOwnTmp } from "./namespace.ts";
import { type Stage, statusOf } from "./stage.ts";

const precious = "somebody-elses-file";
/** Below none of the prefixes that are always allowed. */
const outside = "/var/tmp";
const settings = { TORCHINDUCTOR_CACHE_DIR: "/tmp" };

function peer(stage: Stage): Promise<Finding> {
  return canMount() ? peerOnPrivateTmp(stage) : peerSpared(stage);
}

async function peerOnPrivateTmp(stage: Stage): Promise<Finding> {
  const pod = stage.pod("pod", settings);
  const run = await stage.peer(pod, ["list-tmp", "clear", "list-tmp"], { privateTmp: [precious] });
  const [before, , after] = run.results.map(({ status }) => status);
  return {
    holds: before === precious && after === "",
    facts: [`clear_local_cache() on a private /tmp: ${before} before it, ${after || "nothing"} after it`],
  };
}

async function peerSpared(stage: Stage): Promise<Finding> {
  const { results } = await stage.peer(stage.pod("pod", settings), ["clear", "spared"], { spare: true });
  const spared = results[1]?.status;
  return {
    holds: spared === "/tmp",
    facts: [
      `this user cannot hide /tmp: clear_local_cache() called shutil.rmtree("${spared}"), which did nothing here`,
    ],
  };
}

function ours(stage: Stage): Promise<Finding> {
  return canMount() ? oursOnPrivateTmp(stage) : oursOnPrefix(stage);
}

async function oursOnPrivateTmp(stage: Stage): Promise<Finding> {
  const run = await stage.ours(stage.pod("pod", settings), ["clear"], { prefix: withOwnTmp(precious) });
  const left = run.stderr.trim();
  return {
    holds: run.code === 1 && run.result?.status === "ERROR" && left === precious,
    facts: [`clear on a private /tmp: ${statusOf(run)}, exit ${run.code}; ${left || "nothing"} is left`],
  };
}

/** The rule that spares /tmp, on a prefix that may be lost. */
async function oursOnPrefix(stage: Stage): Promise<Finding> {
  const prefix = fs.mkdtempSync(`${outside}/b10-prefix-`);
  try {
    fs.writeFileSync(path.join(prefix, precious), "not a cache\n");
    const pod = stage.pod("pod", { TORCHINDUCTOR_CACHE_DIR: prefix, B10_CACHE_ALLOWED_PREFIXES: prefix });
    const run = await stage.ours(pod, ["clear"]);
    const left = fs.readdirSync(prefix).join(" ");
    return {
      holds: run.code === 1 && run.result?.code === "path_outside_prefix" && left === precious,
      facts: [
        `clear on a prefix itself, as /tmp is: ${statusOf(run)}, exit ${run.code}; ${
          left || "nothing"
        } is left`,
      ],
    };
  } finally {
    fs.rmSync(prefix, { recursive: true, force: true });
  }
}

export const clearOfTmp: Fault = {
  number: 11,
  title: "With /tmp as the cache directory, a clear removes all of /tmp",
  peer,
  ours,
};
