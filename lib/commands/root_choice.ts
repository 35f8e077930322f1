/** Which caches of the pod a command is about, by its options. */
import { quoteShort } from "../entry_rules.ts";
import { UsageError } from "../errors.ts";
import type { RootSelection } from "../pod_roots.ts";
import { parseRootOption, type RootPlace, RootRule } from "../root_places.ts";

export interface RootFlags {
  /** VLLM_CACHE_ROOT instead of TORCHINDUCTOR_CACHE_DIR. */
  readonly vllm?: boolean;
  /** Every compile cache of this pod that is known. */
  readonly allRoots?: boolean;
  /** More of them: name=directory. */
  readonly root?: readonly string[];
}

export interface RootChoice {
  readonly selection: RootSelection;
  readonly extra: readonly RootPlace[];
}

/** @throws {UsageError} */
export function rootChoice({ vllm, allRoots, root = [] }: RootFlags): RootChoice {
  if (vllm && allRoots) throw new UsageError("--vllm and --all-roots exclude each other");
  const extra = root.map(parsed);
  const names = extra.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new UsageError(`--root ${twice}=… may be given once`);
  return { selection: allRoots ? "all" : vllm ? "vllm" : "torch", extra };
}

function parsed(text: string): RootPlace {
  try {
    return parseRootOption(text);
  } catch (error) {
    if (!(error instanceof RootRule)) throw error;
    throw new UsageError(`Cannot use --root ${quoteShort(text)} as it must ${error.message}`);
  }
}
