/** The command `completions`: a script for a shell, on stdout. */
import { type CompletedCommand, completionScript, shells } from "../completions.ts";
import { UsageError } from "../errors.ts";
import { exitStatus } from "../status.ts";
import type { System } from "../system.ts";
import { quote } from "../text.ts";

export function completionsCommand(
  { stdio }: System,
  words: readonly string[],
  commands: readonly CompletedCommand[],
): number {
  const [word = ""] = words;
  const shell = shells.find((known) => known === word);
  if (!shell) {
    throw new UsageError(
      `Cannot complete for ${quote(word)} as the shell must be one of ${shells.join(", ")}`,
    );
  }
  stdio.stdout(completionScript(shell, commands));
  return exitStatus.ok;
}
