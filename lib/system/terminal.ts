/** Whether somebody sits there. node:tty would say it as well, and takes a tenth of a short load to be there. */
import * as fs from "node:fs";
import { deno } from "./deno.ts";
import { openLibc } from "./libc.ts";

/** @param fd standard input or standard error. */
export function isTerminal(fd: 0 | 2): boolean {
  if (deno) return (fd === 0 ? deno.stdin : deno.stderr).isTerminal();
  return isCharacterDevice(fd) && openLibc({ isatty: { args: ["i32"], returns: "i32" } })?.isatty(fd) === 1;
}

/** As every terminal is, and no pipe or file. */
function isCharacterDevice(fd: number): boolean {
  try {
    return fs.fstatSync(fd).isCharacterDevice();
  } catch {
    // It is closed.
    return false;
  }
}
