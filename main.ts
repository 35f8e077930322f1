/** The composition root: the real world, one command, its exit status. */
import process from "node:process";
import { runProgram } from "./lib/program.ts";
import { realSystem } from "./lib/system/real.ts";

// Bun compiles to bytecode, which halves the start, only what has no top-level await. And the exit is at once: a
// thread that is stuck in a call on a hung share must not keep the process alive.
void runProgram(realSystem()).then((status) => process.exit(status));
