/** torch/version.py, the generated file that says what a torch was built for. Pure. */

export interface TorchVersion {
  readonly version: string | undefined;
  /** "13.0"; null for a build without CUDA. */
  readonly cuda: string | null;
  /** "6.4.43484-123eb5128"; null for a build without ROCm. */
  readonly rocm: string | null;
}

/**
 * Reads lines such as `__version__ = '2.13.0+cpu'` and `cuda: Optional[str] = None`. ROCm's version is `hip`,
 * which every ROCm build has; the shorter `rocm` beside it came with torch 2.9 and is not always set.
 */
export function parseTorchVersion(text: string): TorchVersion {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, name, single, double] = /^(\w+)\s*(?::[^=]*)?=\s*(?:'([^']*)'|"([^"]*)")/.exec(line) ?? [];
    const value = single ?? double;
    if (name !== undefined && value) values.set(name, value);
  }
  return {
    version: values.get("__version__"),
    cuda: values.get("cuda") ?? null,
    rocm: values.get("hip") ?? null,
  };
}
