/** Which packages a directory of sys.path holds, going by the names in it. Pure. */

export interface Distribution {
  /** Normalised: "pytorch-triton". */
  readonly name: string;
  /** undefined where only the PKG-INFO inside tells (an `.egg-info` directory in a source tree). */
  readonly version: string | undefined;
}

/** PEP 503: "Pytorch_Triton" and "pytorch.triton" are one name. */
export function normalizeName(name: string): string {
  return name.replace(/[-_.]+/g, "-").toLowerCase();
}

/**
 * Reads the name of a metadata directory: `torch-2.13.0+cpu.dist-info` (wheels; the name's own hyphens are
 * written as underscores), `torch-2.5.1-py3.11.egg-info` (conda's torch), `vllm.egg-info` (a source tree).
 * @returns undefined for any other name.
 */
export function parseDistribution(entry: string): Distribution | undefined {
  const [, stem] = /^(.+)\.(?:dist|egg)-info$/.exec(entry) ?? [];
  if (stem === undefined) return undefined;
  const [, name, version] = /^(.+?)-(\d.*?)(?:-py\d[\d.]*)?$/.exec(stem) ?? [];
  return name === undefined
    ? { name: normalizeName(stem), version: undefined }
    : { name: normalizeName(name), version };
}

/** The `Version:` header of a PKG-INFO or METADATA file. */
export function parseVersionHeader(text: string): string | undefined {
  return /^Version:[ \t]*(\S+)/m.exec(text)?.[1];
}
