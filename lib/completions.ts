/** Completion scripts for shells, from the table of commands. Pure. */

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = typeof shells[number];

export interface CompletedOption {
  /** As the help shows it: "--key <key>". */
  readonly flags: string;
  readonly help: string;
}

export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** Its words are files, or another command and its words. */
  readonly takesFiles: boolean;
}

const program = "b10-compile-cache";

/** @param commands each with the options that all commands share. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  switch (shell) {
    case "bash":
      return bashScript(commands);
    case "zsh":
      return zshScript(commands);
    case "fish":
      return fishScript(commands);
  }
  return shell satisfies never;
}

function bashScript(commands: readonly CompletedCommand[]): string {
  const names = commands.map(({ name }) => name);
  const cases = commands.map(({ name, options, takesFiles }) =>
    `    ${name}) words="${options.map(optionName).join(" ")}"${takesFiles ? " files=yes" : ""} ;;`
  );
  return `# bash: source <(${program} completions bash)
_b10_compile_cache() {
  local current=\${COMP_WORDS[COMP_CWORD]} command= word words files=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in ${names.join("|")}) command=$word; break ;; esac
  done
  case $command in
    "") words="${names.join(" ")}" ;;
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ -n "$files" ] && [ "\${current#-}" = "$current" ]; then
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}
complete -F _b10_compile_cache ${program}
`;
}

function zshScript(commands: readonly CompletedCommand[]): string {
  const cases = commands.map(({ name, options, takesFiles }) =>
    [
      `    ${name})`,
      ...options.map((option) => `      options+=(${zshItem(optionName(option), option.help)})`),
      ...(takesFiles ? ["      _files"] : []),
      "      ;;",
    ].join("\n")
  );
  return `#compdef ${program}
# zsh: source <(${program} completions zsh)
_b10_compile_cache() {
  local -a commands options
  commands=(
${commands.map(({ name, summary }) => `    ${zshItem(name, summary)}`).join("\n")}
  )
  local command=\${words[(r)(${commands.map(({ name }) => name).join("|")})]}
  case $command in
    "") _describe command commands ;;
${cases.join("\n")}
  esac
  (( \${#options} )) && _describe option options
}
compdef _b10_compile_cache ${program}
`;
}

function zshItem(name: string, text: string): string {
  return singleQuoted(`${name}:${text}`);
}

function fishScript(commands: readonly CompletedCommand[]): string {
  const names = commands.map(({ name }) => name).join(" ");
  const lines = commands.flatMap(({ name, summary, options, takesFiles }) => {
    const seen = `-n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c ${program} -f -n 'not __fish_seen_subcommand_from ${names}' -a ${name} -d ${
        singleQuoted(summary)
      }`,
      ...(takesFiles ? [`complete -c ${program} -F ${seen}`] : []),
      ...options.map((option) =>
        `complete -c ${program} ${seen} -l ${optionName(option).slice(2)} -d ${singleQuoted(option.help)}`
      ),
    ];
  });
  return `# fish: ${program} completions fish | source\n${lines.join("\n")}\n`;
}

/** "--key <key>" is "--key". */
function optionName({ flags }: CompletedOption): string {
  return flags.split(" ")[0] ?? "";
}

function singleQuoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}
