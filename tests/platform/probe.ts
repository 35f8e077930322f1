/** `probe EXPERIMENT DIR [ARGUMENT]`: runs one experiment on the real system and prints what it saw as one line of JSON. */
import { realSystem } from "../../lib/system/real.ts";
import { experiments, isExperimentName } from "./experiments.ts";

const system = realSystem();
const [name = "", dir = "", argument = ""] = system.stdio.argv;
if (!isExperimentName(name)) throw new Error(`Cannot run "${name}" as there is no such experiment`);
system.stdio.stdout(`${JSON.stringify(await experiments[name](system, dir, argument))}\n`);
