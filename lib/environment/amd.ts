/** The AMD GPUs that this pod can use. */
import type { System } from "../system.ts";
import { askTool, type Probe, unnamed } from "./nvidia.ts";
import { hidesAll } from "./visible_devices.ts";

const nodesDir = "/sys/class/kfd/kfd/topology/nodes";

/**
 * ROCm's own list of devices is the kernel driver's (KFD) topology in /sys, which is the host's in every
 * container. So a GPU counts only if /dev/kfd and its render node, /dev/dri/renderD<n>, are in this pod: a
 * device plugin hands out the latter one by one. (For others the driver lets a container read no properties
 * either.)
 * @param nodes the names in /dev.
 */
export async function probeAmd(system: System, nodes: readonly string[]): Promise<Probe> {
  const hiding = hidesAll("rocm", system.env);
  if (hiding !== undefined) return { names: [], source: `hidden by ${hiding}`, notices: [] };
  if (!nodes.includes("kfd") && !nodes.includes("dxg")) {
    return { names: [], source: "no AMD device in /dev", notices: [] };
  }
  const names = driverNames(system);
  return names.length > 0 ? { names, source: nodesDir, notices: [] } : await askRocminfo(system);
}

function driverNames({ host }: System): string[] {
  const renderNodes = host.kernelDirectory("/dev/dri");
  return host.kernelDirectory(nodesDir)
    .map((node) => parseKfdProperties(host.kernelFile(`${nodesDir}/${node}/properties`) ?? ""))
    .filter((gpu) => gpu !== undefined)
    .filter(({ renderNode }) => renderNodes.includes(renderNode))
    .map(({ target, pciId, renderNode }) => {
      const product = host.kernelFile(`/sys/class/drm/${renderNode}/device/product_name`)?.trim();
      return `${target} ${product || pciId}`;
    });
}

export interface KfdGpu {
  /** What kernels are compiled for: "gfx942". */
  readonly target: string;
  /** "1002:74a1": tells products with the same target apart where the board does not say its name. */
  readonly pciId: string;
  /** "renderD128" */
  readonly renderNode: string;
}

/**
 * Reads one node's properties: lines of `name number`. gfx_target_version is decimal, two digits each for
 * minor and stepping, of which the target's name writes the stepping in hex: 90402 is gfx942, 90010 is
 * gfx90a. Pure.
 * @returns undefined for a node that is a CPU.
 */
export function parseKfdProperties(text: string): KfdGpu | undefined {
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [name = "", value] = line.split(" ");
    values.set(name, Number(value));
  }
  const version = values.get("gfx_target_version") ?? 0;
  if (version === 0) return undefined;
  const [major, minor, stepping] = [
    Math.floor(version / 10_000),
    Math.floor(version / 100) % 100,
    version % 100,
  ];
  return {
    target: `gfx${major}${minor.toString(16)}${stepping.toString(16)}`,
    pciId: [values.get("vendor_id"), values.get("device_id")].map(asPciId).join(":"),
    renderNode: `renderD${values.get("drm_render_minor") ?? ""}`,
  };
}

function asPciId(id = 0): string {
  return id.toString(16).padStart(4, "0");
}

async function askRocminfo({ processes }: System): Promise<Probe> {
  const answer = await askTool(processes, ["rocminfo"]);
  if ("failure" in answer) return unnamed("AMD", answer.failure);
  const names = parseRocminfo(answer.stdout);
  return names.length === 0
    ? unnamed("AMD", "rocminfo names none")
    : { names, source: "rocminfo", notices: [] };
}

/**
 * Each agent's section has a name (of a GPU its target), a marketing name and, further down, its type. Pure.
 */
export function parseRocminfo(text: string): string[] {
  return text.split(/^Agent \d+\s*$/m).filter((section) => /^\s*Device Type:\s*GPU\s*$/m.test(section))
    .map((section) => {
      const target = /^\s*Name:\s*(\S+)/m.exec(section)?.[1] ?? "";
      const product = /^\s*Marketing Name:[ \t]*(.*?)\s*$/m.exec(section)?.[1] ?? "";
      return `${target} ${product}`.trim();
    });
}
