/** The composition root: the real world, one command, its exit status. */
import process from "node:process";
import { runCli } from "./lib/cli.ts";
import { realSystem } from "./lib/system.ts";

// At once: a thread that is stuck in a call on a hung share must not keep the process alive.
process.exit(await runCli(realSystem()));
