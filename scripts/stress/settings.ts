/**
 * The pods' settings. Every time that the program waits for is short, so that minutes show what otherwise takes days:
 * leases of the dead, and prunes that come back for what they marked.
 */

export const loadTimeoutS = 10;
export const saveTimeoutS = 20;

/** Of a lease's holder who is silent. */
export const leaseTimeoutMs = 2_000;

/** What a prune waits: never less than a save and a load take at most together. */
export const graceMs = (loadTimeoutS + saveTimeoutS) * 1000;

/** One saver packs a cache at a time, so that more places than half of the caches would never all be taken. */
export const maxConcurrentSaves = 2;

/** A cache with more layers is compacted. */
export const compactAfterLayers = 8;

export const commonSettings = {
  B10_CACHE_LOAD_TIMEOUT_S: String(loadTimeoutS),
  B10_CACHE_SAVE_TIMEOUT_S: String(saveTimeoutS),
  B10_CACHE_PRUNE_GRACE_S: "1",
  B10_CACHE_COMPACT_AFTER: String(compactAfterLayers),
  CLEANUP_LOCK_TIMEOUT_SECONDS: String(leaseTimeoutMs / 1000),
  CLEANUP_INCOMPLETE_TIMEOUT_SECONDS: "1",
  MAX_CONCURRENT_SAVES: String(maxConcurrentSaves),
};

/** Of pods that may take their time: those that are stopped past all that others wait for, and the last ones. */
export const patientSettings = {
  B10_CACHE_LOAD_TIMEOUT_S: "300",
  B10_CACHE_SAVE_TIMEOUT_S: "300",
};

/** Of savers that soon go on without the lease of those that pack, so that commits meet. */
export const hastySettings = { B10_CACHE_SAVE_TIMEOUT_S: "4" };

/** Of a saver that compacts whatever it finds. */
export const compactingSettings = { B10_CACHE_COMPACT_AFTER: "2" };

/** Older than whatever any of these pods waits for. */
export const longAgoMs = 60 * 60 * 1000;
