/** The eleven faults, in the contract's order. */
import { twoSavers } from "./01_two_savers.ts";
import { stolenLock } from "./02_stolen_lock.ts";
import { killedLoad } from "./03_killed_load.ts";
import { corruptArchive } from "./04_corrupt_archive.ts";
import { loadsTakeTurns } from "./05_loads_take_turns.ts";
import { strayFile } from "./06_stray_file.ts";
import { slowOperations } from "./07_slow_operations.ts";
import { settingsAndCommand } from "./08_settings_and_command.ts";
import { poorKey } from "./09_poor_key.ts";
import { otherUsers } from "./10_other_users.ts";
import { clearOfTmp } from "./11_clear_of_tmp.ts";
import type { Fault } from "./fault.ts";

export const faults: readonly Fault[] = [
  twoSavers,
  stolenLock,
  killedLoad,
  corruptArchive,
  loadsTakeTurns,
  strayFile,
  slowOperations,
  settingsAndCommand,
  poorKey,
  otherUsers,
  clearOfTmp,
];
