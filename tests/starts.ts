/** Records of starts. */
import { newRecord, type StartRecord } from "../lib/start_record.ts";

/** It has just begun. */
export const newStart = newRecord("run", Date.UTC(2026, 0, 2, 3, 4, 5, 678));

/** What its JSON says of all but its beginning. */
export const nothingKnown = {
  operation: "run",
  load: null,
  save: null,
  saves: 0,
  verdict: null,
  restored_files: null,
  restored_bytes: null,
  new_files: null,
  new_bytes: null,
  ready_s: null,
  cold_start_s: null,
  saved_s: null,
  command_status: null,
};

/** It is over. */
export const fullStart: StartRecord = {
  ...newStart,
  load: {
    operation: "load",
    status: "SUCCESS",
    generation: 4,
    files: 711,
    bytes: 38_245_041,
    elapsed_ms: 84,
    message: "restored 711 files",
  },
  save: { operation: "save", status: "SUCCESS", generation: 5, elapsed_ms: 1_500, message: "saved 3 files" },
  saves: 2,
  readyS: 29.123,
  coldStartS: 55.345,
  proof: {
    verdict: "PARTIAL",
    restoredFiles: 711,
    restoredBytes: 38_245_041,
    newFiles: 3,
    newBytes: 1_500,
  },
  commandStatus: 0,
};
