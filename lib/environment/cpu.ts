/**
 * The instruction set that Inductor compiles for on a CPU. It compiles C++ with -march=native
 * (torch/_inductor/ cpp_builder.py: _get_cpu_arch_cflags) at a vector level that it picks itself
 * (torch/_inductor/cpu_vec_isa.py: pick_vec_isa), so a pod may load only what was compiled for exactly the
 * instructions that it has.
 */
import { sha256Hex } from "../crypto.ts";
import type { System } from "../system.ts";
import { isInstructionFlag } from "./cpu_flags.ts";

export interface Cpu {
  /** "avx512_vnni:1f0c2a9b7d3e": the vector level, and a digest of the instruction-set flags. */
  readonly isa: string;
  readonly source: string;
  readonly notices: readonly string[];
}

/** 48 bits: there are some hundred kinds of CPU in use, not millions. */
const digestHexDigits = 12;

/** Its value, in bytes, is what programs get: a virtual machine may have less than the CPU. */
const sveLengthFile = "/proc/sys/abi/sve_default_vector_length";

export function detectCpu({ host, env }: Pick<System, "host" | "env">): Cpu {
  if (host.platform !== "linux") return ofMachine(host.machine);
  const flags = parseCpuFlags(host.kernelFile("/proc/cpuinfo") ?? "", host.machine);
  if (flags.length === 0) {
    const notice =
      "Cannot read this CPU's instruction set from /proc/cpuinfo: pods with different CPUs share a key";
    return { isa: "unknown", source: "/proc/cpuinfo is not readable", notices: [notice] };
  }
  const sveBytes = flags.includes("sve") ? Number(host.kernelFile(sveLengthFile)) : 0;
  const level = pickLevel({ machine: host.machine, flags, sveBytes, capability: env["ATEN_CPU_CAPABILITY"] });
  return { isa: `${level}:${digestOf(flags)}`, source: sourceOf(env), notices: [] };
}

/** Off Linux Inductor sets no -march: NEON on Apple's own CPUs, plain code on Intel's. */
function ofMachine(machine: string): Cpu {
  return { isa: machine === "arm64" ? "neon" : "default", source: "uname", notices: [] };
}

function sourceOf(env: System["env"]): string {
  return env["ATEN_CPU_CAPABILITY"] ? "/proc/cpuinfo, ATEN_CPU_CAPABILITY" : "/proc/cpuinfo";
}

/** The flags' order is the kernel's and may change with it; their set is the CPU's. */
function digestOf(flags: readonly string[]): string {
  return sha256Hex(flags.join(" ")).slice(0, digestHexDigits);
}

/**
 * The instruction-set flags of the first CPU in the text of /proc/cpuinfo, sorted. The line is called `flags`
 * on x86, `Features` on ARM, `features` on s390x, `isa` on RISC-V; POWER has only its model, in `cpu`. Pure.
 */
export function parseCpuFlags(cpuinfo: string, machine: string): string[] {
  const line = /^(?:flags|[Ff]eatures|isa|cpu)[ \t]*:[ \t]*(.*)$/m.exec(cpuinfo)?.[1] ?? "";
  const flags = line.split(/\s+/).filter((flag) => flag !== "" && isInstructionFlag(machine, flag));
  return [...new Set(flags)].sort();
}

export interface LevelFacts {
  readonly machine: string;
  readonly flags: readonly string[];
  /** The length of SVE's vectors in bytes; 0 without SVE. */
  readonly sveBytes: number;
  /** The value of ATEN_CPU_CAPABILITY, by which users lower the level. */
  readonly capability: string | undefined;
}

/**
 * The vector level as torch's pick_vec_isa chooses it, provided that its compiler knows the instructions: the
 * best that the CPU has, or the best whose name contains ATEN_CPU_CAPABILITY. A capability that the CPU does
 * not have, or that torch does not know, is ignored. Pure.
 */
export function pickLevel({ machine, flags, sveBytes, capability }: LevelFacts): string {
  if (capability === "default") return "default";
  const levels = levelsOf(machine, new Set(flags), sveBytes);
  const wanted = capability === "avx2" || capability === "avx512" ? capability : "";
  return levels.find((level) => torchNames(level).includes(wanted)) ?? levels[0] ?? "default";
}

/** In torch an AMX level is an AVX-512 one too. */
function torchNames(level: string): string {
  return level === "amx" ? "avx512 amx" : level;
}

/** Best first. */
function levelsOf(machine: string, flags: ReadonlySet<string>, sveBytes: number): string[] {
  switch (machine) {
    case "x86_64":
      return x86Levels(flags);
    case "aarch64":
      // torch compiles for a fixed vector length, 128 or 256 bits.
      return (flags.has("sve") || flags.has("sve2")) && flags.has("bf16") ? [`sve${sveBytes * 8}`] : ["neon"];
    default:
      return ["native"];
  }
}

function x86Levels(flags: ReadonlySet<string>): string[] {
  const avx512 = ["avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"].every((flag) => flags.has(flag));
  const vnni = avx512 && flags.has("avx512_vnni");
  const amx = vnni && ["amx_tile", "amx_bf16", "amx_int8"].every((flag) => flags.has(flag));
  return [
    ...(amx ? ["amx"] : []),
    ...(vnni ? ["avx512_vnni"] : []),
    ...(avx512 ? ["avx512"] : []),
    ...(flags.has("avx2") ? ["avx2"] : []),
  ];
}
