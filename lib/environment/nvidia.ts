/** The NVIDIA GPUs that this pod can use. */
import { messageOf } from "../errors.ts";
import type { System } from "../system.ts";
import { hidesAll } from "./visible_devices.ts";

/** What a look for GPUs of one maker found. */
export interface Probe {
  /** One name a GPU; empty where this pod can use none. */
  readonly names: readonly string[];
  readonly source: string;
  readonly notices: readonly string[];
}

const gpusDir = "/proc/driver/nvidia/gpus";

/** nvidia-smi takes 20 ms where the driver is well, and hangs where it is not. */
export const toolTimeoutMs = 5_000;

/** dxg is the GPU of Windows' Linux subsystem; the nvhost and nvgpu nodes are Tegra's. */
const deviceNode = /^(nvidia\d+|dxg|nvhost-ctrl-gpu|nvgpu)$/;

/**
 * /proc is not divided among containers: on a GPU host a pod without the NVIDIA runtime sees the driver's
 * files there all the same. So a GPU counts only if its device node, /dev/nvidia<minor>, is in this pod.
 * Names are the driver's, which are those that torch.cuda.get_device_name() gives. CUDA_VISIBLE_DEVICES can
 * hide all GPUs, but is not used to choose among several: its order is CUDA's own. NVIDIA_VISIBLE_DEVICES is
 * the container runtime's business, and "void" in pods whose GPUs were injected by other means.
 * @param nodes the names in /dev.
 */
export async function probeNvidia(system: System, nodes: readonly string[]): Promise<Probe> {
  const hiding = hidesAll("cuda", system.env);
  if (hiding !== undefined) return { names: [], source: `hidden by ${hiding}`, notices: [] };
  if (!nodes.some((node) => deviceNode.test(node))) {
    return { names: [], source: "no NVIDIA device in /dev", notices: [] };
  }
  const names = driverNames(system, nodes);
  return names ? { names, source: gpusDir, notices: [] } : await askSmi(system);
}

/** @returns undefined where the driver's files do not name every GPU. */
function driverNames({ host }: System, nodes: readonly string[]): string[] | undefined {
  const gpus = host.kernelDirectory(gpusDir)
    .map((gpu) => parseGpuInformation(host.kernelFile(`${gpusDir}/${gpu}/information`) ?? ""))
    .filter(({ minor }) => minor === undefined || nodes.includes(`nvidia${minor}`));
  const names = gpus.map(({ model }) => model).filter((model) => model !== undefined);
  return names.length > 0 && names.length === gpus.length ? names : undefined;
}

export interface GpuInformation {
  /** "NVIDIA H100 80GB HBM3"; undefined where the driver does not know. */
  readonly model: string | undefined;
  /** The number of its node, /dev/nvidia<minor>. */
  readonly minor: number | undefined;
}

/** Reads /proc/driver/nvidia/gpus/<address>/information: lines of `Name: <blanks> value`. Pure. */
export function parseGpuInformation(text: string): GpuInformation {
  const model = /^Model:[ \t]*(.*?)[ \t]*$/m.exec(text)?.[1];
  const minor = /^Device Minor:[ \t]*(\d+)/m.exec(text)?.[1];
  return {
    model: model === "" || model === "Unknown" ? undefined : model,
    minor: minor === undefined ? undefined : Number(minor),
  };
}

async function askSmi({ processes }: System): Promise<Probe> {
  const argv = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"];
  const answer = await askTool(processes, argv);
  if ("failure" in answer) return unnamed("NVIDIA", answer.failure);
  const names = answer.stdout.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  return names.length === 0
    ? unnamed("NVIDIA", "nvidia-smi names none")
    : { names, source: "nvidia-smi", notices: [] };
}

/**
 * Without a name there is no key that only pods with the same GPU have, so such a pod counts as one without.
 */
export function unnamed(maker: string, failure: string): Probe {
  return {
    names: [],
    source: failure,
    notices: [`This pod has an ${maker} device but is treated as one without: ${failure}`],
  };
}

/** @returns what the tool printed, or in words why it did not. */
export async function askTool(
  processes: System["processes"],
  argv: readonly string[],
): Promise<{ readonly stdout: string } | { readonly failure: string }> {
  const [tool = ""] = argv;
  try {
    const { code, stdout, timedOut } = await processes.capture(argv, { timeoutMs: toolTimeoutMs });
    if (timedOut) return { failure: `${tool} did not answer within ${toolTimeoutMs / 1000} s` };
    return code === 0 ? { stdout } : { failure: `${tool} ended with exit status ${code}` };
  } catch (error) {
    return { failure: messageOf(error) };
  }
}
