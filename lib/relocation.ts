/**
 * Moving house: a few files of a cache hold absolute paths that matter. In the store they have those of the pod that
 * first saved their root; on a pod they must have its own. Everything else in a cache follows the directory that it
 * lies in (measured: docs/vllm.md). Pure.
 *
 * - Triton's `__grp__*.json` lists the files of a kernel; Triton ignores one whose paths do not exist, and Inductor
 *   then does not make the kernel anew, as its directory is not empty.
 * - vLLM's `vllm_compile_cache.py` lists the artifacts of its compile ranges, and fails where they are not there.
 */
import { CacheError } from "./errors.ts";

/** Where a root was, and where it is now. Absolute, without a slash at the end. */
export interface Move {
  readonly from: string;
  readonly to: string;
}

const relocatableNames = [/^__grp__.*\.json$/, /^vllm_compile_cache\.py$/];

/** The file holds paths that follow its root when it moves. */
export function isRelocatable(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return relocatableNames.some((pattern) => pattern.test(name));
}

/** Of each root that lies elsewhere than it was recorded. The longest first: one may lie in another. */
export function movesBetween(
  from: Readonly<Record<string, string | undefined>>,
  to: Readonly<Record<string, string | undefined>>,
): Move[] {
  const moves = Object.keys(from).flatMap((name) => {
    const [was, is] = [from[name], to[name]];
    return was && is && was !== is && isPlace(was) ? [{ from: was, to: is }] : [];
  });
  return moves.sort((a, b) => b.from.length - a.from.length);
}

/** "/" and what is not absolute would match everything, or nothing that was meant. */
function isPlace(path: string): boolean {
  return path.startsWith("/") && path.length > 1 && !path.endsWith("/");
}

/**
 * A path that JSON and Python both write as it is. Of any other the spelling in a file is not known, so that nothing
 * can be found or put there: what depends on it is left out.
 */
export function canBeRewritten({ from, to }: Move): boolean {
  const isPlain = (path: string) => /^[\x20-\x7e]+$/.test(path) && !/["'\\]/.test(path);
  return isPlain(from) && isPlain(to);
}

/** `content` with each path that begins with a move's `from`, right after a quote, beginning with its `to`. */
export function relocate(content: Uint8Array, moves: readonly Move[]): Uint8Array {
  refuseLarge(content.length);
  let growth = 0;
  const text = Buffer.from(content).toString("latin1");
  const rewritten = text.replace(quotedPath, (whole, quote: string, path: string) => {
    const move = moves.find(({ from }) => path === from || path.startsWith(`${from}/`));
    if (!move) return whole;
    growth += move.to.length - move.from.length;
    refuseLarge(content.length + growth);
    return `${quote}${move.to}${path.slice(move.from.length)}`;
  });
  return rewritten === text ? content : Buffer.from(rewritten, "latin1");
}

/** Real ones have some kilobytes, and are in memory several times while they are rewritten. */
const maxRewrittenBytes = 32 * 1024 * 1024;

/** @throws {CacheError} `bad_layer` */
function refuseLarge(bytes: number): void {
  if (bytes <= maxRewrittenBytes) return;
  throw new CacheError(
    "bad_layer",
    `Cannot rewrite the paths in a file as it has, or would have, more than ${maxRewrittenBytes} bytes`,
  );
}

/** A quote and the absolute path after it, up to where that quote would end. */
const quotedPath = /(["'])(\/[^"'\n]*)/g;
