/** How files are opened for reading. */
import * as fs from "node:fs";

/** Opening a FIFO would otherwise wait for its writer, for ever. Of regular files, nothing else changes. */
export const readAtOnce = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK;

/** Not what a symlink in its place leads to. */
export const justThisDirectory = readAtOnce | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW;
