/** What a failing call on this pod's own disk is to the user. */
import { CacheError, errnoOf, messageOf } from "./errors.ts";
import { quote } from "./text.ts";

/** A failure of this pod's own disk as the error that says so: `no_space` where it is full, else `local_io`. */
export function localError(action: string, path: string, cause: unknown): CacheError {
  if (cause instanceof CacheError) return cause;
  const errno = errnoOf(cause);
  const full = errno === "ENOSPC" || errno === "EDQUOT";
  return new CacheError(
    full ? "no_space" : "local_io",
    `Cannot ${action} ${quote(path)} on this pod: ${errno ?? messageOf(cause)}`,
    { cause },
  );
}
