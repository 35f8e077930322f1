/**
 * The words of the commands in a shell script, for looking at them, never for running them: quotes, backslashes, comments,
 * and what divides commands. Nothing is expanded: `$PORT` stays as it is written. Pure.
 */

/** Each simple command of `script`, as its words. */
export function simpleCommands(script: string): string[][] {
  const commands: string[][] = [[]];
  let word: string | undefined;
  const endWord = () => {
    if (word !== undefined) commands.at(-1)?.push(word);
    word = undefined;
  };
  for (const token of tokens(script)) {
    if (token.kind === "text") {
      word = (word ?? "") + token.text;
      continue;
    }
    endWord();
    if (token.kind === "divider") commands.push([]);
  }
  endWord();
  return commands.filter((words) => words.length > 0);
}

type Token = { readonly kind: "text"; readonly text: string } | { readonly kind: "space" | "divider" };

/** In turn: 'single', "double", an escaped character, a comment, white space or a redirection, a divider, anything else. */
const lexeme =
  /'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|(#[^\n]*)|([^\S\n]+|[<>]+&?)|([;|&()\n])|([^\s'"\\;|&()<>]+|['"\\])/g;

function* tokens(script: string): Generator<Token> {
  const pattern = new RegExp(lexeme);
  let inWord = false;
  for (let found = pattern.exec(script); found; found = pattern.exec(script)) {
    const [, single, double, escaped, comment, space, divider, plain] = found;
    if (comment !== undefined && !inWord) continue;
    // A backslash before the end of a line makes the next one go on where this one ends.
    if (escaped === "\n") continue;
    if (space !== undefined || divider !== undefined) {
      inWord = false;
      yield { kind: divider === undefined ? "space" : "divider" };
      continue;
    }
    inWord = true;
    // Within a word a "#" is a character like others, and what follows it is still to be looked at.
    if (comment !== undefined) pattern.lastIndex = found.index + 1;
    yield { kind: "text", text: single ?? escaped ?? plain ?? (comment ? "#" : unescaped(double ?? "")) };
  }
}

/** Within double quotes a backslash escapes these alone. */
function unescaped(quoted: string): string {
  return quoted.replace(/\\([$`"\\\n])/g, (_, kept) => kept === "\n" ? "" : kept);
}
