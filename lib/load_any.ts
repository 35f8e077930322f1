/** Load from whatever the store has for this pod: a cache of its own, else an archive of b10-transfer. */
import { archiveName } from "./foreign/archive_name.ts";
import { foreignKey } from "./foreign/key.ts";
import { whyForeignIsOff } from "./foreign/policy.ts";
import { hasArchive } from "./foreign/shelf.ts";
import { load } from "./load.ts";
import { loadForeign } from "./load_foreign.ts";
import type { LoadOutcome, NativeLoadOutcome, Operation } from "./operation.ts";
import type { Store } from "./store.ts";

type Miss = Extract<NativeLoadOutcome, { status: "DOES_NOT_EXIST" }>;

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
  return await loadArchiveOf(operation, { storeDir, native });
}

async function loadArchiveOf(
  operation: Operation,
  { storeDir, native }: { storeDir: string; native: Miss },
): Promise<LoadOutcome> {
  const { system, config, environment } = operation;
  const found = foreignKey(environment, system.host.platform);
  if ("problem" in found) return native;
  const place = { storeDir, name: archiveName(found.key) };
  const off = whyForeignIsOff(config, environment);
  if (off === undefined) {
    const foreign = await loadForeign(operation, place);
    return foreign.status === "DOES_NOT_EXIST" ? native : foreign;
  }
  if (!await hasArchive(system.fs, place)) return native;
  return { ...native, reason: `${native.reason}; b10-transfer's ${place.name} is left alone, as ${off}` };
}
