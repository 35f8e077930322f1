/** Which directories `clear` may empty. It goes by what is there, as a setting can name any directory. Pure. */
import { isBelow } from "./paths.ts";
import { mountPoints } from "./mounts.ts";
import { isLeftOutDirectory, isLeftOutFile } from "./roots.ts";
import { quote } from "./text.ts";

/** What lies at the top of a root. */
export interface TopEntry {
  readonly name: string;
  /** What lies in it; undefined for what is no directory. */
  readonly inside?: readonly string[];
}

export interface ClearedRoot {
  readonly name: string;
  /** Its real path. */
  readonly dir: string;
  readonly entries: readonly TopEntry[];
  /** Its owner says that all of it is a cache: `cacheTagName` lies in it, and is one. */
  readonly isTagged?: boolean;
}

/** By the Cache Directory Tagging Specification such a file, at the top of a directory, marks a cache. */
export const cacheTagName = "CACHEDIR.TAG";

/** How it begins. */
export const cacheTagSignature = "Signature: 8a477f597d28d172789f06886806bc55";

/** At the top of a home, a system, a checkout or a model, and of no compile cache. */
const foreign =
  /^(\.git|\.ssh|\.gnupg|\.bashrc|\.profile|\.cache|\.config|\.local|\.venv|bin|etc|home|lib|proc|root|usr|var|lost\+found|main\.py|package\.json|pyproject\.toml|config\.json|.+\.(safetensors|gguf|pem|key))$/;

/** A part of a cache, as its program calls it. */
interface Part {
  readonly name: RegExp;
  /**
   * Where others, too, have directories of that name: what each thing in it is called, the directory's name and a
   * slash before it. It must be a directory then.
   */
  readonly inside?: RegExp;
  /** What must lie in it, unless it is empty. */
  readonly needs?: string;
}

interface Shape {
  readonly owner: string;
  readonly parts: readonly Part[];
}

/** Python's, for a directory or a file of its own making. */
const pythonTemporary = /^tmp[0-9a-z_]{8}(\.py)?$/;

/** What lies at the top of each known root, as torch 2.6 to 2.13, Triton 2 and 3, vLLM 0.9 to 0.33 and the others write it. */
const shapes: ReadonlyMap<string, Shape> = new Map([
  ["inductor", {
    owner: "torch's",
    parts: [
      {
        name:
          /^(fxgraph|aotautograd|dynamo|autotune|bundled_autotune|aotinductor|aoti_eager|autoheuristic|cutedsl_compile_cache|torch_cutlass(_library)?|unhashed_kernel_inputs|halide-.+|memoizer_cache\.json|configs_[0-9a-f]+\.json|compiled_cache\.db)$/,
      },
      { name: pythonTemporary },
      // Two characters of a file's own name, from the second on; tuned configurations lie beside their kernel.
      { name: /^[0-9a-z]{2}$/, inside: /^(..)\/(.\1|[0-9a-f]{64}\.)/ },
      { name: /^triton$/, inside: /\/(\d+|cpu|xpu|mps)$/ },
      { name: /^cache$/, inside: /\/([0-9a-f]{32,64}|inductor_on_disk_cache|should_pad)$/ },
    ],
  }],
  ["vllm", {
    owner: "vLLM's",
    parts: [
      {
        name:
          /^(torch_compile_cache|torch_aot_compile|modelinfos|inductor_cache|triton_cache|deep_gemm|flashinfer.*|xla_cache|mm_caches?|dummy_cache|tilelang.*|torch_extensions|helion.*|startup_plan|rocm_segmented_attention)$/,
      },
      { name: /^assets$/, inside: /\/(vllm_public_assets|video-example-data)$/ },
    ],
  }],
  ["triton", {
    owner: "Triton's",
    parts: [{ name: /^([A-Z2-7]{52}|[0-9a-f]{32}|[0-9a-f]{64})$/ }],
  }],
  ["flashinfer", {
    owner: "FlashInfer's",
    parts: [
      { name: /^(cubins|cached_ops|generated|flashinfer_.+)$/ },
      { name: /^\d+[a-z]?(_\d+[a-z]?)*$/, inside: /\/(cached_ops|generated|flashinfer_.+)$/ },
      { name: /^\d+\.\d+\S*$/, inside: /\/\d+[a-z]?(_\d+[a-z]?)*$/ },
    ],
  }],
  ["deep_gemm", {
    owner: "DeepGEMM's",
    parts: [
      { name: /^cache$/, inside: /\/kernel\./ },
      { name: /^tmp$/, inside: /\/([0-9a-f]+(-[0-9a-f]+)*|tmpxft_.+|.+\.pch)$/ },
    ],
  }],
  ["tilelang", {
    owner: "TileLang's",
    parts: [
      { name: /^([0-9a-f]{64}|autotuner|\.staging)$/ },
      { name: /^kernels$/, inside: /\/[0-9a-f]{64}$/ },
      {
        name: /^\d+\.\d+\S*$/,
        inside: /\/((linux|darwin|win32)-\w+|kernels|autotuner|(cuda|ascend)-binaries|\.staging)$/,
      },
      { name: /^tmp$/, inside: /\/(tmp[0-9a-z_]{8}|[0-9a-f]{32})/ },
    ],
  }],
  ["torch_extensions", {
    owner: "torch's extensions'",
    parts: [
      { name: /^py\d+[a-z]*_(cpu|cu\d+|rocm.*|xpu.*)$/ },
      // Where TORCH_EXTENSIONS_DIR names the directory, an extension's own name, which may be anything.
      {
        name: /./,
        inside: /\/(build\.ninja|\.ninja_log|\.ninja_deps|lock|main\.cpp|cuda\.cu|[^/]+\.(so|o|d))$/,
        needs: "build.ninja",
      },
    ],
  }],
]);

/**
 * Why this directory is not emptied; undefined where it may be: everything at its top is a part of the cache that it is
 * called after, or left out of caches, or its owner has tagged it.
 * @param prefixes the real paths of the allowed prefixes.
 * @param mountinfo the text of /proc/self/mountinfo, where there is one.
 */
export function whyNotCleared(
  { name, dir, entries, isTagged = false }: ClearedRoot,
  { prefixes, mountinfo = "" }: { prefixes: readonly string[]; mountinfo?: string | undefined },
): string | undefined {
  const prefix = prefixes.find((each) => each === dir || isBelow(each, dir));
  if (prefix !== undefined) return `it holds the allowed prefix ${quote(prefix)}`;
  const mount = mountPoints(mountinfo).find((point) => point === dir || isBelow(point, dir));
  if (mount !== undefined) return `${quote(mount)} is a mount point`;
  const stranger = entries.find((entry) => foreign.test(entry.name));
  if (stranger !== undefined) return `a compile cache has no ${quote(stranger.name)}`;
  if (isTagged || entries.length === 0) return undefined;
  const shape = shapes.get(name);
  if (!shape) return `nothing says what belongs into a cache of that name, and it has no ${cacheTagName}`;
  const unknown = entries.find((entry) => !isLeftOut(entry) && !shape.parts.some((part) => isA(part, entry)));
  return unknown && `${quote(unknown.name)} in it does not look like a part of ${shape.owner} cache`;
}

function isLeftOut({ name, inside }: TopEntry): boolean {
  return inside ? isLeftOutDirectory(name) : isLeftOutFile(name);
}

function isA(part: Part, { name, inside }: TopEntry): boolean {
  if (!part.name.test(name)) return false;
  const { inside: pattern, needs } = part;
  if (!pattern) return true;
  if (!inside) return false;
  if (needs !== undefined && inside.length > 0 && !inside.includes(needs)) return false;
  return inside.every((inner) => pattern.test(`${name}/${inner}`) || isLeftOutName(inner));
}

/** One level down it does not matter what a thing is. */
function isLeftOutName(name: string): boolean {
  return isLeftOutDirectory(name) || isLeftOutFile(name);
}
