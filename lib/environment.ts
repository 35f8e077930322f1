/**
 * What this pod is, as far as compile artifacts depend on it, found out without importing torch (which takes
 * 1 to 20 s). Nothing is written, and every probe has a deadline.
 */
import { type Accelerator, detectAccelerator } from "./environment/accelerator.ts";
import { type Cpu, detectCpu } from "./environment/cpu.ts";
import { findInterpreter, type Interpreter } from "./environment/interpreter.ts";
import type { Package, Packages } from "./environment/packages.ts";
import { type PythonReport, readPython } from "./environment/python.ts";
import type { System } from "./system.ts";

/** Part of the key and, in full, of every manifest: two pods share a cache only if all of it is equal. */
export interface Environment {
  readonly accelerator: "cuda" | "rocm" | "cpu";
  /** Distinct accelerator names, sorted; empty on a CPU. */
  readonly devices: readonly string[];
  /**
   * What torch was built for ("13.0"), whether or not there is a GPU; null for other builds and without
   * torch. The driver's own version is left out: artifacts do not depend on it, and it changes under a
   * running fleet.
   */
  readonly cuda: string | null;
  /** What torch was built for ("6.4.43484-123eb5128"), as `cuda`. */
  readonly rocm: string | null;
  readonly torch: string | null;
  readonly triton: string | null;
  readonly vllm: string | null;
  /** "3.11"; "3.13t" for a free-threaded build. */
  readonly python: string | null;
  /** "x86_64", "aarch64" */
  readonly machine: string;
  /** On a CPU, the instruction set that Inductor compiles for; null on a GPU. */
  readonly cpu_isa: string | null;
}

/** One line of `status`. */
export interface Fact {
  readonly name: keyof Environment | "interpreter";
  /** In words: "none" where there is none. */
  readonly value: string;
  /** The file, program or setting that says so. */
  readonly source: string;
}

export interface EnvironmentReport {
  readonly environment: Environment;
  readonly facts: readonly Fact[];
  /** What the user should know, a sentence each. */
  readonly notices: readonly string[];
}

export interface DetectOptions {
  /** The setting B10_CACHE_PYTHON. */
  readonly python?: string;
  /** The command that `run` starts. */
  readonly command?: readonly string[];
}

/**
 * @returns the same environment for equal pods, whichever way this program is used on them.
 * @throws {CacheError} `bad_setting` where `options.python` is not a Python interpreter that runs.
 */
export async function detectEnvironment(system: System, options: DetectOptions): Promise<EnvironmentReport> {
  const interpreter = await findInterpreter(system, options);
  const python = interpreter && await readPython(system, interpreter);
  const accelerator = await detectAccelerator(system, python?.packages.torch);
  const cpu = accelerator.kind === "cpu" ? detectCpu(system) : undefined;
  const found: Found = { interpreter, python, accelerator, cpu, machine: system.host.machine };
  return {
    environment: environmentOf(found),
    facts: factsOf(found),
    notices: [...python?.notices ?? [], ...accelerator.notices, ...cpu?.notices ?? []],
  };
}

interface Found {
  readonly interpreter: Interpreter | undefined;
  readonly python: PythonReport | undefined;
  readonly accelerator: Accelerator;
  readonly cpu: Cpu | undefined;
  readonly machine: string;
}

function environmentOf({ python, accelerator, cpu, machine }: Found): Environment {
  const packages: Partial<Packages> = python?.packages ?? {};
  return {
    accelerator: accelerator.kind,
    devices: accelerator.devices,
    cuda: packages.torch?.cuda ?? null,
    rocm: packages.torch?.rocm ?? null,
    torch: packages.torch?.version ?? null,
    triton: packages.triton?.version ?? null,
    vllm: packages.vllm?.version ?? null,
    python: python?.version ?? null,
    machine,
    cpu_isa: cpu?.isa ?? null,
  };
}

function factsOf(found: Found): Fact[] {
  const { interpreter, python, accelerator, cpu } = found;
  const environment = environmentOf(found);
  const sources: Record<keyof Environment, string> = {
    python: interpreter?.path ?? "no interpreter",
    torch: sourceOf(found, python?.packages.torch),
    cuda: sourceOf(found, python?.packages.torch),
    rocm: sourceOf(found, python?.packages.torch),
    triton: sourceOf(found, python?.packages.triton),
    vllm: sourceOf(found, python?.packages.vllm),
    accelerator: accelerator.source,
    devices: accelerator.source,
    machine: "uname",
    cpu_isa: cpu?.source ?? "not of interest on a GPU",
  };
  return [
    interpreterFact(found),
    ...factOrder.map((name) => ({ name, value: inWords(environment[name]), source: sources[name] })),
  ];
}

const factOrder: readonly (keyof Environment)[] = [
  ...[
    "python",
    "torch",
    "cuda",
    "rocm",
    "triton",
    "vllm",
    "accelerator",
    "devices",
    "machine",
    "cpu_isa",
  ] as const,
];

function interpreterFact({ interpreter, python }: Found): Fact {
  return {
    name: "interpreter",
    value: inWords(interpreter?.path ?? null),
    source: interpreter && python
      ? `${interpreter.source}; ${python.way}`
      : "no vllm and no python3 on the PATH",
  };
}

function sourceOf({ interpreter }: Found, found: Package | undefined): string {
  return found?.source ?? (interpreter ? `not installed for ${interpreter.path}` : "no interpreter");
}

function inWords(value: string | readonly string[] | null): string {
  const words = typeof value === "string" ? value : value?.join(", ");
  return words || "none";
}
