/** 100 GB free for a default save; a bad setting crashes the import; --help saves; a failed save exits with 0. */
import * as fs from "node:fs";
import * as http from "node:http";
import type { Fault, Finding } from "./fault.ts";
import { type Pod, type Stage, statusOf, without } from "./stage.ts";
import { writeTree } from "./trees.ts";

/** More than there is. */
const noSpace = { MIN_B10FS_SPACE_MB: "99999999" };
const badSize = "abc";

interface Server extends AsyncDisposable {
  /** For B10_TRANSFER_VLLM_URL. */
  readonly url: string;
  /** How often it was asked. */
  readonly asked: () => number;
}

/** Says at once that it is ready. */
async function startServer(): Promise<Server> {
  let asked = 0;
  const server = http.createServer((_request, response) => {
    asked++;
    response.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The server has no port");
  return {
    url: `http://127.0.0.1:${address.port}/v1/models`,
    asked: () => asked,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function podWithFile(stage: Stage, name: string, settings: Readonly<Record<string, string>> = {}): Pod {
  const pod = stage.pod(name, settings);
  writeTree(pod.torchDir, { "1.so": 1000 });
  return pod;
}

/** What says how much space is wanted. */
const limits = ["MAX_CONCURRENT_SAVES", "MAX_CACHE_SIZE_MB", "MIN_B10FS_SPACE_MB", "MIN_LOCAL_SPACE_MB"];

function freeMb(dir: string): number {
  const { bavail, bsize } = fs.statfsSync(dir);
  return Math.floor(bavail * bsize / 1024 / 1024);
}

async function peer(stage: Stage): Promise<Finding> {
  await using server = await startServer();
  const spacious = without(podWithFile(stage, "default"), limits);
  const run = await stage.peer(spacious, ["required-space", "save"]);
  const [required, saved] = run.results.map(({ status }) => status);
  const free = freeMb(stage.storeDir);
  const crash = await stage.startPeer(podWithFile(stage, "bad", { MAX_CACHE_SIZE_MB: badSize }), []).ended();
  const crashed = crash.code !== 0 && crash.stderr.includes("ValueError");

  const full = podWithFile(stage, "full", { ...noSpace, B10_TRANSFER_VLLM_URL: server.url });
  const failed = await stage.peerCommand(full, []);
  const didFail = fs.readdirSync(stage.storeDir).length === 0;
  const helped = podWithFile(stage, "help", { B10_TRANSFER_VLLM_URL: server.url });
  const help = await stage.peerCommand(helped, ["--help"]);
  const written = fs.readdirSync(stage.storeDir).filter((name) => name.includes(".latest."));
  // A machine with so much free space saves, but wants it all the same.
  const wantsSpace = required === "100000" &&
    (free >= Number(required) || /insufficient disk space/i.test(run.stderr));
  return {
    holds: wantsSpace && crashed && failed.code === 0 && didFail && help.code === 0 && written.length === 1,
    facts: [
      `a default save of 1 kB wants ${required} MB free, where ${free} MB are: ${saved}`,
      `MAX_CACHE_SIZE_MB=${badSize}: the import ${
        crashed ? "raises ValueError" : `exits with ${crash.code}`
      }`,
      `a failed save by its command: exit ${failed.code}`,
      `--help saves: ${written.length} archive, exit ${help.code}`,
    ],
  };
}

async function ours(stage: Stage): Promise<Finding> {
  await using server = await startServer();
  const before = fs.readdirSync(stage.storeDir).length;
  const helped = podWithFile(stage, "help", { B10_TRANSFER_VLLM_URL: server.url });
  const help = await stage.ours(helped, ["--help"]);
  const untouched = fs.readdirSync(stage.storeDir).length === before && server.asked() === 0;
  const bad = await stage.ours(podWithFile(stage, "bad", { MAX_CACHE_SIZE_MB: badSize }), ["save"]);
  const names = ["MAX_CACHE_SIZE_MB", badSize].every((word) => bad.result?.message.includes(word));
  const full = podWithFile(stage, "full", { ...noSpace, B10_TRANSFER_VLLM_URL: server.url });
  const failed = await stage.ours(full, []);
  const saved = await stage.ours(without(podWithFile(stage, "default"), limits), ["save"]);
  return {
    holds: saved.result?.status === "SUCCESS" && bad.code === 1 && bad.result?.code === "bad_setting" &&
      names &&
      failed.code === 3 && help.code === 0 && help.stdout.startsWith("Usage:") && untouched,
    facts: [
      `a default save of 1 kB, where ${freeMb(stage.storeDir)} MB are free: ${statusOf(saved)}`,
      `MAX_CACHE_SIZE_MB=${badSize}: ${statusOf(bad)}, exit ${bad.code}, ${
        names ? "" : "not "
      }naming variable and value`,
      `a failed save in automatic mode: exit ${failed.code}`,
      `--help prints its usage, exit ${help.code}, ${
        untouched ? "and touches nothing" : "but touches the store"
      }`,
    ],
  };
}

export const settingsAndCommand: Fault = {
  number: 8,
  title: "100 GB for a save; a bad setting crashes the import; --help saves; a failed save exits 0",
  peer,
  ours,
};
