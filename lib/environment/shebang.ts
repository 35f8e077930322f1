/** What the first lines of a script say about the Python that runs it. Pure. */
import { basename } from "node:path/posix";

/**
 * How a script names its interpreter: by path, by a name to be sought on PATH, or by a file beside the
 * script.
 */
export type Launcher =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "beside"; readonly name: string };

/** Long enough for the longest path (PATH_MAX is 4,096) in the second line of a script written by pip. */
export const maxShebangBytes = 8 * 1024;

const pythonName = /^(python|pypy)[0-9.]*t?$/;
const shells: readonly string[] = ["sh", "bash", "dash"];

/** "python3.12", "/opt/venv/bin/python", "pypy3": a Python interpreter, going by its name. */
export function isPythonName(path: string): boolean {
  return pythonName.test(basename(path));
}

/**
 * The Python that a script asks for in its `#!` line.
 * @param start the script's first bytes, as text.
 * @returns undefined for anything but a Python script.
 */
export function parseShebang(start: string): Launcher | undefined {
  const [first = "", second = ""] = start.split("\n", 2);
  const [, program, rest = ""] = /^#!\s*(\S+)(.*)$/.exec(first) ?? [];
  if (program === undefined) return undefined;
  if (isPythonName(program)) return { kind: "path", path: program };
  if (basename(program) === "env") return ofEnv(rest);
  return shells.includes(basename(program)) ? ofShellPreamble(second) : undefined;
}

/** `#!/usr/bin/env python3`, `#!/usr/bin/env -S OMP_NUM_THREADS=1 python3 -u`. */
function ofEnv(words: string): Launcher | undefined {
  const program = words.split(/\s+/).map((word) => word.replace(/^(-S|--split-string=)/, ""))
    .find((word) => word !== "" && !word.startsWith("-") && !word.includes("="));
  if (program === undefined || !isPythonName(program)) return undefined;
  return program.includes("/") ? { kind: "path", path: program } : { kind: "name", name: program };
}

/** What uv writes before the interpreter's name in a relocatable environment: the script's own directory. */
const besideTheScript = '"$(dirname -- "$(realpath -- "$0")")"/';

/**
 * The kernel takes at most 255 bytes of a `#!` line and no blanks in its path. So for a longer or
 * blank-ridden path pip (distlib) and uv write `#!/bin/sh`, then a line that is a command to the shell and
 * the start of a string to Python: `'''exec' "/long path/python" "$0" "$@"`.
 */
function ofShellPreamble(line: string): Launcher | undefined {
  const [, command] = /^'''exec' (.+)$/.exec(line) ?? [];
  if (command === undefined) return undefined;
  const beside = command.startsWith(besideTheScript);
  const word = firstWord(beside ? command.slice(besideTheScript.length) : command);
  if (word === undefined || !isPythonName(word)) return undefined;
  return beside ? { kind: "beside", name: word } : { kind: "path", path: word };
}

function firstWord(command: string): string | undefined {
  const [, single, double, bare] = /^(?:'([^']*)'|"([^"$`]*)"|([^\s"'$`]+))/.exec(command) ?? [];
  return single ?? double ?? bare;
}
