/**
 * The key under which b10-transfer 0.4.1 files this pod's cache (its environment.py). It has less in it than ours: no
 * version of torch or Triton, and on a CPU no instruction set. Pure but for the digest.
 */
import { sha256Hex } from "../crypto.ts";
import type { Environment } from "../environment.ts";

declare const foreignKeyBrand: unique symbol;

/** 16 hex digits. */
export type ForeignKey = string & { readonly [foreignKeyBrand]: true };

const keyLength = 16;

/** @returns in words why b10-transfer would have no key here, or one that cannot be found without importing torch. */
export function foreignKey(
  environment: Environment,
  platform: string,
): { readonly key: ForeignKey } | { readonly problem: string } {
  if (environment.torch === null) return { problem: "torch is not installed, and b10-transfer needs it" };
  if (environment.accelerator === "cpu") return { key: digestOf(cpuFacts(environment, platform)) };
  const [device, ...others] = environment.devices;
  if (device === undefined || others.length > 0) {
    return { problem: "b10-transfer's key depends on which of several kinds of GPUs is torch's first" };
  }
  return { key: digestOf(gpuFacts(environment, device)) };
}

type Facts = Readonly<Record<string, string | null>>;

function gpuFacts({ accelerator, cuda }: Environment, device: string): Facts {
  if (accelerator === "cuda") return { cuda_version: cuda, device_name: device };
  // Our names of AMD's GPUs begin with what kernels are compiled for: "gfx942 AMD Instinct MI300X".
  return { cuda_version: null, device_name: device.slice(device.indexOf(" ") + 1) };
}

const pythonPlatforms: Readonly<Record<string, string>> = { linux: "Linux", darwin: "Darwin" };

function cpuFacts({ machine }: Environment, platform: string): Facts {
  return {
    cpu_architecture: machine,
    device_type: "cpu",
    platform_system: pythonPlatforms[platform] ?? platform,
  };
}

function digestOf(facts: Facts): ForeignKey {
  return sha256Hex(pythonJson(facts)).slice(0, keyLength) as ForeignKey;
}

/** As Python's json.dumps(facts, sort_keys=True) writes it. */
function pythonJson(facts: Facts): string {
  const members = Object.keys(facts).sort().map((name) => {
    return `${pythonString(name)}: ${pythonString(facts[name] ?? null)}`;
  });
  return `{${members.join(", ")}}`;
}

function pythonString(value: string | null): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
