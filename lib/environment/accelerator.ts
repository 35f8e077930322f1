/** What this pod computes on. */
import type { System } from "../system.ts";
import { probeAmd } from "./amd.ts";
import type { TorchBuild } from "./packages.ts";
import { type Probe, probeNvidia } from "./nvidia.ts";

export interface Accelerator {
  readonly kind: "cuda" | "rocm" | "cpu";
  /** Distinct names, sorted; empty on a CPU. */
  readonly devices: readonly string[];
  readonly source: string;
  readonly notices: readonly string[];
}

/**
 * A GPU counts if this pod can use it and its torch was built for it; where torch is not known, if the pod
 * can use it. For a CPU build of torch nothing is probed, which under Deno saves a process for each file in
 * /proc.
 */
export async function detectAccelerator(system: System, torch: TorchBuild | undefined): Promise<Accelerator> {
  const kinds = torch?.accelerators ?? ["cuda", "rocm"];
  if (kinds.length === 0) return onCpu(["torch is a CPU build"], []);
  const nodes = system.host.kernelDirectory("/dev");
  const misses: Probe[] = [];
  for (const kind of kinds) {
    const probe = await (kind === "cuda" ? probeNvidia : probeAmd)(system, nodes);
    if (probe.names.length > 0) return onGpu(kind, probe);
    misses.push(probe);
  }
  return onCpu(misses.map(({ source }) => source), misses.flatMap(({ notices }) => notices));
}

function onGpu(kind: "cuda" | "rocm", { names, source, notices }: Probe): Accelerator {
  return { kind, devices: [...new Set(names)].sort(), source, notices };
}

function onCpu(sources: readonly string[], notices: readonly string[]): Accelerator {
  return { kind: "cpu", devices: [], source: sources.join(", "), notices };
}
