/** The key has neither versions nor the instruction set, so a pod can load another's machine code. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Fault, Finding } from "./fault.ts";
import { canMount, onCpu } from "./namespace.ts";
import { type OurOptions, type Pod, type Stage, statusOf } from "./stage.ts";
import { countWhole, inWords, writeTree } from "./trees.ts";

const otherTorch = "2.9.0+cpu";

/** Instructions that not every machine of an architecture has. */
const newInstructions = /\b(avx|amx|sve|asimddp|asimdhp|bf16|i8mm)\w*/g;

/** How a pod with an older CPU is played, and in words. */
interface OldCpu {
  readonly prefix: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
  readonly words: string;
}

/** Where this user may mount, /proc/cpuinfo is that of an older machine; else torch is told to act like one. */
function oldCpu(stage: Stage): OldCpu {
  if (!canMount()) {
    return {
      prefix: [],
      settings: { ATEN_CPU_CAPABILITY: "default" },
      words: "ATEN_CPU_CAPABILITY=default (this user cannot mount another /proc/cpuinfo)",
    };
  }
  const cpuinfo = path.join(stage.dir, "cpuinfo");
  fs.writeFileSync(cpuinfo, fs.readFileSync("/proc/cpuinfo", "utf8").replaceAll(newInstructions, ""));
  return { prefix: onCpu(cpuinfo), settings: {}, words: "a /proc/cpuinfo without AVX" };
}

function saverOf(stage: Stage): Pod {
  const saver = stage.pod("saver");
  writeTree(saver.torchDir, { "1.so": 1000 });
  return saver;
}

async function peer(stage: Stage): Promise<Finding> {
  const saver = saverOf(stage);
  const [key, saved, gpuKey] = await stage.peerStatuses(saver, ["key", "save", "gpu-key"]);
  const old = oldCpu(stage);
  const pod = stage.pod("old-cpu", old.settings);
  const oldRun = await stage.peer(pod, ["key", "load"], { prefix: old.prefix });
  const [oldKey, load] = oldRun.results.map(({ status }) => status);
  const torchRun = await stage.peer(stage.pod("other-torch"), ["key", "load", "gpu-key"], {
    torchVersion: otherTorch,
  });
  const [torchKey, torchLoad, torchGpuKey] = torchRun.results.map(({ status }) => status);
  return {
    holds: saved === "SUCCESS" && key === oldKey && key === torchKey && load === "SUCCESS" &&
      torchLoad === "SUCCESS",
    facts: [
      `key ${key}; on a pod with ${old.words}: ${oldKey}, load ${load} with ` +
      `${inWords(countWhole(saver.torchDir, pod.torchDir))} of the other machine`,
      `on a pod whose torch says ${otherTorch}: ${torchKey}, load ${torchLoad}`,
      `its key function, told of an H100 with CUDA 12.8: ${gpuKey}, with the other torch ${torchGpuKey}`,
    ],
  };
}

async function ours(stage: Stage): Promise<Finding> {
  const saver = saverOf(stage);
  const saved = await stage.ours(saver, ["save"]);
  const old = oldCpu(stage);
  const onOld = await loadAs(stage, "old-cpu", old);
  const onTorch = await loadAs(stage, "other-torch", { settings: { PYTHONPATH: installTorch(stage) } });
  const keys = [saved.result?.key, onOld.key, onTorch.key];
  return {
    holds: saved.result?.status === "SUCCESS" && new Set(keys).size === keys.length &&
      !keys.includes(undefined) &&
      onOld.status === "DOES_NOT_EXIST" && onTorch.status === "DOES_NOT_EXIST",
    facts: [
      `key ${short(saved.result?.key)}…; with ${old.words}: ${short(onOld.key)}…, load ${onOld.status}`,
      `with torch ${otherTorch} installed: ${short(onTorch.key)}…, load ${onTorch.status}`,
    ],
  };
}

async function loadAs(
  stage: Stage,
  name: string,
  options: OurOptions,
): Promise<{ status: string; key: string }> {
  const load = await stage.ours(stage.pod(name), ["load"], options);
  return { status: statusOf(load), key: load.result?.key ?? "" };
}

/** The least of an installed torch. @returns a directory for PYTHONPATH */
function installTorch(stage: Stage): string {
  const dir = path.join(stage.dir, "packages");
  const info = path.join(dir, `torch-${otherTorch}.dist-info`);
  fs.mkdirSync(path.join(dir, "torch"), { recursive: true });
  fs.mkdirSync(info);
  fs.writeFileSync(path.join(dir, "torch", "__init__.py"), "");
  fs.writeFileSync(path.join(dir, "torch", "version.py"), `__version__ = '${otherTorch}'\n`);
  fs.writeFileSync(
    path.join(info, "METADATA"),
    `Metadata-Version: 2.1\nName: torch\nVersion: ${otherTorch}\n`,
  );
  return dir;
}

function short(key: string | null | undefined): string {
  return key?.slice(0, 8) ?? "";
}

export const poorKey: Fault = {
  number: 9,
  title: "Its key lacks versions and the instruction set: another machine's code is loaded",
  peer,
  ours,
};
