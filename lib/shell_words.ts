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

function* tokens(script: string): Generator<Token> {
  // In turn: 'single', "double", an escaped character, a comment, white space, a redirection, a divider, anything else.
  const pattern =
    /'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|(?<=^|[\s;|&()])#[^\n]*|([^\S\n]+)|([<>]+&?)|([;|&()\n])|([^\s'"\\;|&()<>]+|['"\\])/g;
  for (
    const [whole, single, double, escaped, space, redirection, divider, plain] of script.matchAll(pattern)
  ) {
    if (single !== undefined) yield { kind: "text", text: single };
    else if (double !== undefined) {
      // Within double quotes a backslash escapes these alone.
      yield { kind: "text", text: double.replace(/\\([$`"\\\n])/g, (_, kept) => kept === "\n" ? "" : kept) };
    } else if (escaped === "\n") continue; // The next line goes on where this one ends.
    else if (escaped !== undefined) yield { kind: "text", text: escaped };
    else if (space !== undefined || redirection !== undefined) yield { kind: "space" };
    else if (divider !== undefined) yield { kind: "divider" };
    else if (plain !== undefined) yield { kind: "text", text: plain };
  }
}
