/** How b10-transfer's archive is. */
import * as fs from "node:fs";
import { isSoundGzip, type Stage } from "./stage.ts";

export interface ArchiveState {
  readonly isSound: boolean;
  /** After "the archive". */
  readonly words: string;
}

export async function archiveState(stage: Stage): Promise<ArchiveState> {
  const file = stage.archive();
  const isSound = await isSoundGzip(file);
  const bytes = fs.statSync(file).size;
  return { isSound, words: `of ${bytes} bytes ${isSound ? "is sound" : "fails gzip -t"}` };
}
