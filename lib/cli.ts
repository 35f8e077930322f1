/** The command line: commands and options as data, help, dispatch. */
import { Command, CommanderError } from "commander";
import type { AutomaticFlags } from "./commands/automatic.ts";
import { type CommandContext, createContext } from "./commands/context.ts";
import { completionsCommand } from "./commands/completions.ts";
import type { TransferFlags } from "./commands/export.ts";
import { loadCommand, type LoadSaveFlags, saveCommand } from "./commands/load_save.ts";
import type { PruneFlags } from "./commands/prune.ts";
import type { RunFlags } from "./commands/run.ts";
import type { SuspectFlags } from "./commands/suspect.ts";
import { type CompletedCommand, shells } from "./completions.ts";
import { quoteShort } from "./entry_rules.ts";
import { messageOf, UsageError } from "./errors.ts";
import { exitStatus } from "./status.ts";
import type { System } from "./system.ts";
import { escapeUnseen } from "./text.ts";
import { version } from "./version.ts";

interface Option {
  readonly flags: string;
  readonly help: string;
  /** For the program's own use: not in the help. */
  readonly hidden?: true;
  /** May be given several times: its value is a list. */
  readonly repeated?: true;
}

const commonOptions: readonly Option[] = [
  { flags: "--json", help: "print one JSON object on stdout" },
  { flags: "--quiet", help: "say nothing but errors" },
  { flags: "--verbose", help: "say more" },
  { flags: "--no-color", help: "no colours (NO_COLOR does the same)" },
  { flags: "--key <key>", help: "use this cache key instead of the computed one" },
  { flags: "--namespace <name>", help: "one of several models that share a store" },
  { flags: "--read-only", help: "load, and never save" },
  { flags: "--fail-on-miss", help: "exit with 4 where there is no cache for this environment" },
];

const vllmOption: Option = { flags: "--vllm", help: "VLLM_CACHE_ROOT instead of TORCHINDUCTOR_CACHE_DIR" };
const extraRootOption: Option = {
  flags: "--root <name=dir>",
  help: "one cache more, under this name; may be given again",
  repeated: true,
};
const rootOptions: readonly Option[] = [
  {
    flags: "--all-roots",
    help: "every compile cache of this pod, as run does: vLLM's, torch's, Triton's, …",
  },
  extraRootOption,
];
const vllmAloneOption: Option = { flags: "--vllm", help: "VLLM_CACHE_ROOT alone, not every compile cache" };
const metricsOption: Option = {
  flags: "--metrics-file <file>",
  help: "write what the cache did for the start to FILE, as Prometheus text",
};
/** What `run` and the automatic mode tell the saves that they start. */
const startOptions: readonly Option[] = [
  { flags: "--cold-start <seconds>", help: "until a server without a cache was ready", hidden: true },
  { flags: "--replaced-suspect <id>", help: "without which the server got ready", hidden: true },
];
/** Those of the mode without a command. */
const automaticOptions: readonly Option[] = [metricsOption, vllmAloneOption, extraRootOption];
const forCommandOption: Option = {
  flags: "--for-command <name>",
  help: "the command whose Python decides the key",
  hidden: true,
};

const formatOption: Option = {
  flags: "--format <format>",
  help: "native or b10-transfer; by default as FILE ends: .tar.zst or .tar.gz",
};

type Flags = LoadSaveFlags & RunFlags & PruneFlags & TransferFlags & SuspectFlags;

interface CommandRow {
  readonly name: string;
  /** For the program's own use: not in the help. */
  readonly hidden?: true;
  readonly summary: string;
  readonly options: readonly Option[];
  /** With "...": everything from the first word that is no option of ours is passed through. */
  readonly words?: string;
  readonly execute: (context: CommandContext, flags: Flags, words: readonly string[]) => Promise<number>;
}

/** A command is loaded by who gives it. */
const commandTable: readonly CommandRow[] = [
  {
    name: "run",
    summary: "load, start COMMAND, save once its server is ready, exit with COMMAND's own status",
    options: [
      { flags: "--report <file>", help: "write what was loaded and saved to FILE, as JSON" },
      metricsOption,
      {
        flags: "--retry-cold",
        help: "where COMMAND dies after a restore before it is ready: empty the caches, start it once more",
      },
      vllmAloneOption,
      extraRootOption,
    ],
    words: "<command...>",
    execute: async (context, flags, words) =>
      (await import("./commands/run.ts")).runCommand(context, words, flags),
  },
  {
    name: "load",
    summary: "restore what the store has for this environment",
    options: [vllmOption, ...rootOptions, forCommandOption],
    execute: loadCommand,
  },
  {
    name: "save",
    summary: "save what the store does not have yet",
    options: [vllmOption, ...rootOptions, forCommandOption, ...startOptions],
    execute: saveCommand,
  },
  {
    name: "status",
    summary: "settings, environment and key, local and shared cache, free space",
    options: [vllmOption, ...rootOptions, forCommandOption],
    execute: async (context, flags) => (await import("./commands/status.ts")).statusCommand(context, flags),
  },
  {
    name: "explain",
    summary: "why this pod got no cache, or one that nothing used",
    options: [],
    execute: async (context) => (await import("./commands/explain.ts")).explainCommand(context),
  },
  {
    name: "list",
    summary: "every cache in the store",
    options: [],
    execute: async (context) => (await import("./commands/list.ts")).listCommand(context),
  },
  {
    name: "verify",
    summary: "read everything back and check every digest, of one cache or of all",
    options: [],
    words: "[key]",
    execute: async (context, _, words) =>
      (await import("./commands/verify.ts")).verifyCommand(context, words),
  },
  {
    name: "prune",
    summary: "remove caches out of use, superseded generations, and layers that nobody names",
    options: [
      { flags: "--max-age <time>", help: "evict caches that nobody saved or restored for so long: 12h, 30d" },
      {
        flags: "--max-total-size <size>",
        help: "evict the least recently used until the rest fits: 500MB, 20GB",
      },
      {
        flags: "--keep-last <count>",
        help: "keep so many generations of each cache, at least 2 (default: 2)",
      },
      { flags: "--dry-run", help: "say what would be done, and do nothing" },
    ],
    execute: async (context, flags) => (await import("./commands/prune.ts")).pruneCommand(context, flags),
  },
  {
    name: "export",
    summary: "write one cache of the store to FILE",
    options: [
      formatOption,
      { flags: "--force", help: "replace FILE if it is there" },
      { flags: "--vllm", help: "b10-transfer's format: the files of VLLM_CACHE_ROOT instead of torch's" },
    ],
    words: "<file>",
    execute: async (context, flags, words) =>
      (await import("./commands/export.ts")).exportCommand(context, flags, words),
  },
  {
    name: "import",
    summary: "save the content of FILE, an exported cache or b10-transfer's archive, to the store",
    options: [
      formatOption,
      { flags: "--vllm", help: "b10-transfer's format: the files are those of VLLM_CACHE_ROOT" },
    ],
    words: "<file>",
    execute: async (context, flags, words) =>
      (await import("./commands/import.ts")).importCommand(context, flags, words),
  },
  {
    name: "clear",
    summary: "empty the local cache directory",
    options: [vllmOption, ...rootOptions, forCommandOption],
    execute: async (context, flags) => (await import("./commands/clear.ts")).clearCommand(context, flags),
  },
  {
    name: "keygen",
    summary: "make a key pair for signatures: FILE, which signs, and FILE.pub, which is trusted",
    options: [],
    words: "<file>",
    execute: async (context, _, words) =>
      (await import("./commands/keygen.ts")).keygenCommand(context, words),
  },
  {
    name: "suspect",
    hidden: true,
    summary: "note that a server died after a restore",
    options: [
      { flags: "--content <id>", help: "what was restored" },
      vllmOption,
      ...rootOptions,
      forCommandOption,
    ],
    execute: async (context, flags) => (await import("./commands/suspect.ts")).suspectCommand(context, flags),
  },
  {
    name: "completions",
    summary: `print a script that completes commands and options in ${shells.join(", ")}`,
    options: [],
    words: "<shell>",
    execute: ({ system }, _, words) =>
      Promise.resolve(completionsCommand(system, words, completedCommands())),
  },
];

/** What a shell completes: everything that the help shows. */
function completedCommands(): CompletedCommand[] {
  return commandTable.filter(({ hidden }) => !hidden).map(({ name, summary, options, words }) => ({
    name,
    summary,
    options: [...options, ...commonOptions].filter((option) => !option.hidden),
    takesFiles: words === "<file>" || words === "<command...>",
  }));
}

const description = `Keeps the artifacts of torch.compile and vLLM in a cache shared by all replicas.

Without a command: load, wait for the vLLM server, save what is new
(b10-compile-cache & vllm serve …). The better form loads before vLLM starts:
b10-compile-cache run -- vllm serve …`;

const exitStatuses = `
Exit status:
  0    SUCCESS, SKIPPED, or DOES_NOT_EXIST without --fail-on-miss
  1    ERROR
  2    automatic mode: the server was not ready in time
  3    automatic mode: the save failed
  4    DOES_NOT_EXIST with --fail-on-miss
  64   wrong usage
  130  interrupted by SIGINT, 143 by SIGTERM; run: the command's own status`;

/** Runs the command line. @returns the exit status; it never throws. */
export async function runCli(system: System): Promise<number> {
  let status: number = exitStatus.ok;
  const program = buildProgram(system, (code) => status = code);
  try {
    await program.parseAsync([...system.stdio.argv], { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitStatus.ok : exitStatus.usage;
    system.stdio.stderr(`b10-compile-cache: error: ${escapeUnseen(messageOf(error))}\n`);
    return error instanceof UsageError ? exitStatus.usage : exitStatus.error;
  }
}

/** Of commander, which repeats words as they are. Its guess at what was meant, from our own names, is a line by itself. */
function printableError(text: string): string {
  const [, message = text, guess = ""] = /^(.*?)(\n\(Did you mean [\w, -]+\?\))?\n$/s.exec(text) ?? [];
  return `${escapeUnseen(message)}${guess}\n`;
}

function buildProgram(system: System, onEnd: (status: number) => void): Command {
  const program = withOptions(new Command("b10-compile-cache"), [...automaticOptions, ...commonOptions])
    .description(description)
    .version(version, "--version", "print the version")
    .helpOption("--help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText("after", exitStatuses)
    .enablePositionalOptions()
    .allowExcessArguments(true)
    .exitOverride()
    .configureOutput({
      writeOut: system.stdio.stdout,
      writeErr: system.stdio.stderr,
      outputError: (text, write) => write(printableError(text)),
      getOutHelpWidth: () => 100,
    })
    .action(async (flags: AutomaticFlags, self: Command) => {
      const [unknown] = self.args;
      if (unknown !== undefined) {
        throw new UsageError(`unknown command ${quoteShort(unknown)}; see --help`);
      }
      const { automaticCommand } = await import("./commands/automatic.ts");
      onEnd(await automaticCommand(await createContext(system, flags), flags));
    });
  for (const row of rowsFor(system.stdio.argv)) addCommand(program, { row, system, onEnd });
  return program;
}

/** The command that comes first; all where something else does. To build them all takes 2 ms, twice in a load. */
function rowsFor([first]: readonly string[]): readonly CommandRow[] {
  const named = commandTable.filter(({ name }) => name === first);
  return named.length > 0 ? named : commandTable;
}

function addCommand(
  program: Command,
  { row, system, onEnd }: { row: CommandRow; system: System; onEnd: (status: number) => void },
): void {
  const command = withOptions(program.command(row.name, { hidden: row.hidden === true }), [
    ...row.options,
    ...commonOptions,
  ])
    .description(row.summary)
    .helpOption("--help", "print this help")
    .allowExcessArguments(false);
  if (row.words) command.argument(row.words).passThroughOptions(row.words.includes("..."));
  command.action(async (...args: unknown[]) => {
    const words = row.words ? [args[0]].flat().filter((word) => typeof word === "string") : [];
    const flags = flagsOf(program, command);
    onEnd(await row.execute(await createContext(system, flags), flags, words));
  });
}

/** An option may stand before the command's name and after it: the later one counts. */
function flagsOf(program: Command, command: Command): Flags {
  const given = Object.entries(command.opts()).filter(([name]) =>
    command.getOptionValueSource(name) === "cli"
  );
  return { ...program.opts<Flags>(), ...Object.fromEntries(given) };
}

function withOptions(command: Command, options: readonly Option[]): Command {
  for (const { flags, help, hidden, repeated } of options) {
    const option = command.createOption(flags, help);
    if (hidden) option.hideHelp();
    if (repeated) option.argParser((value: string, before: readonly string[] = []) => [...before, value]);
    command.addOption(option);
  }
  return command;
}
