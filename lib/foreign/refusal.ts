/** How an archive is refused. */
import { CacheError } from "../errors.ts";
import { quote } from "../text.ts";

/** @throws {CacheError} `bad_archive`: the archive, what in it is wrong, and the rule. */
export function refuseArchive(archive: string, problem: string, cause?: unknown): never {
  throw new CacheError("bad_archive", `Cannot use the archive ${quote(archive)} as ${problem}`, { cause });
}
