/** Which directories `clear` may empty. It goes by what is there, as a setting can name any directory. Pure. */
import { isBelow } from "./paths.ts";
import { mountPoints } from "./mounts.ts";
import { quote } from "./text.ts";

export interface ClearedRoot {
  readonly name: string;
  /** Its real path. */
  readonly dir: string;
  /** The names of what lies in it. */
  readonly entries: readonly string[];
}

/** At the top of a home, a system, a checkout or a model, and of no compile cache. */
const foreign =
  /^(\.git|\.ssh|\.gnupg|\.bashrc|\.profile|\.cache|\.config|\.local|\.venv|bin|etc|home|lib|proc|root|usr|var|lost\+found|main\.py|package\.json|pyproject\.toml|config\.json|.+\.(safetensors|gguf|pem|key))$/;

/** What torch's and vLLM's caches have at their top: two characters of a digest, or a name of theirs. */
const own: Readonly<Record<string, RegExp>> = {
  inductor:
    /^([0-9a-z]{2}|fxgraph|aotautograd|triton|locks|dynamo|cache|autotune|bundled_autotune|precompiled_headers|torchinductor.*|tmp[0-9a-z_]{8}|\.b10-.+)$/,
  vllm:
    /^(torch_compile_cache|torch_aot_compile|modelinfos|assets|inductor_cache|triton_cache|deep_gemm|flashinfer|xla_cache|gpu_p2p_access_cache_for_.+|\.b10-.+)$/,
};

/**
 * Why this directory is not emptied; undefined where it may be.
 * @param prefixes the real paths of the allowed prefixes.
 * @param mountinfo the text of /proc/self/mountinfo, where there is one.
 */
export function whyNotCleared(
  { name, dir, entries }: ClearedRoot,
  { prefixes, mountinfo = "" }: { prefixes: readonly string[]; mountinfo?: string | undefined },
): string | undefined {
  const prefix = prefixes.find((each) => each === dir || isBelow(each, dir));
  if (prefix !== undefined) return `it holds the allowed prefix "${prefix}"`;
  const mount = mountPoints(mountinfo).find((point) => point === dir || isBelow(point, dir));
  if (mount !== undefined) return `${quote(mount)} is a mount point`;
  const stranger = entries.find((entry) => foreign.test(entry));
  if (stranger !== undefined) return `a compile cache has no ${quote(stranger)}`;
  const mark = own[name];
  if (!mark || entries.length === 0 || entries.some((entry) => mark.test(entry))) return undefined;
  return `nothing in it is known of ${name === "vllm" ? "vLLM's" : "torch's"} cache, as ${
    quote(entries[0] ?? "")
  } is not`;
}
