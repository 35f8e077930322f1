/**
 * The real disk by synchronous calls, and without flushing. Each call of the real FileSystem wakes another thread, which is
 * most of the time of a test that enumerates thousands of them.
 */
import type { FileSystem } from "../lib/system.ts";
import { realSystem } from "../lib/system/real.ts";

const { disk } = realSystem();

export const syncFiles: FileSystem = {
  ...disk,
  open: async (path, mode) => ({ ...await disk.open(path, mode), sync: () => Promise.resolve() }),
  // A test's files need not outlive a power cut.
  syncDirectory: () => Promise.resolve(),
};
