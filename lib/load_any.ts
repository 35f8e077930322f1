/** Load from whatever the store has for this pod: a cache of its own, else an archive of b10-transfer. */
import { archiveName } from "./foreign/archive_name.ts";
import { foreignKey } from "./foreign/key.ts";
import { whyForeignIsOff } from "./foreign/policy.ts";
import { hasArchive } from "./foreign/shelf.ts";
import { load } from "./load.ts";
import { loadForeign } from "./load_foreign.ts";
import type { LoadOutcome, Operation } from "./operation.ts";
import type { Store } from "./store.ts";

/**
 * @param store undefined where there is none yet.
 * @param storeDir where it is, or will be: b10-transfer's archives lie beside it.
 * @throws {CacheError} with the roots as they were.
 */
export async function loadAny(
  operation: Operation,
  { store, storeDir }: { store: Store | undefined; storeDir: string },
): Promise<LoadOutcome> {
  const native = await load(operation, store);
  if (native.status !== "DOES_NOT_EXIST") return native;
  const foreign = await loadArchiveOf(operation, storeDir);
  return foreign.status === "DOES_NOT_EXIST"
    ? { ...native, reason: `${native.reason}; ${foreign.reason}` }
    : foreign;
}

async function loadArchiveOf(operation: Operation, storeDir: string): Promise<LoadOutcome> {
  const { system, config, environment } = operation;
  const found = foreignKey(environment, system.host.platform);
  if ("problem" in found) return { status: "DOES_NOT_EXIST", reason: found.problem };
  const name = archiveName(found.key);
  const off = whyForeignIsOff(config, environment);
  if (off === undefined) return await loadForeign(operation, { storeDir, name });
  const reason = await hasArchive(system.fs, { storeDir, name })
    ? `b10-transfer's ${name} is left alone, as ${off}`
    : `b10-transfer has no ${name} there either`;
  return { status: "DOES_NOT_EXIST", reason };
}
