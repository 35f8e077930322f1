import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { type CompletedCommand, completionScript, shells } from "../lib/completions.ts";

const commands: readonly CompletedCommand[] = [
  {
    name: "load",
    summary: "restore what the store has",
    options: [{ flags: "--json", help: "one object" }, { flags: "--key <key>", help: "this pod's" }],
    takesFiles: false,
  },
  {
    name: "export",
    summary: "it's a file",
    options: [{ flags: "--force", help: "replace" }],
    takesFiles: true,
  },
];

/** What bash offers after these words, the last of which is being typed. */
function bashOffers(words: readonly string[], cwd: string): string[] {
  const script = `${completionScript("bash", commands)}
COMP_WORDS=(b10-compile-cache "$@"); COMP_CWORD=$#
_b10_compile_cache; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync("bash", ["-c", script, "bash", ...words], { cwd, encoding: "utf8" });
  return out.split("\n").filter((line) => line !== "").sort();
}

test("bash completes commands, then the command's own options, and files where it takes any", () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "b10-completions-"));
  try {
    fs.writeFileSync(path.join(dir, "cache.tar.zst"), "");
    assert.deepEqual(bashOffers([""], dir), ["export", "load"]);
    assert.deepEqual(bashOffers(["lo"], dir), ["load"]);
    assert.deepEqual(bashOffers(["load", "--"], dir), ["--json", "--key"]);
    assert.deepEqual(bashOffers(["load", "--json", "--k"], dir), ["--key"]);
    assert.deepEqual(bashOffers(["load", "ca"], dir), []);
    assert.deepEqual(bashOffers(["export", "ca"], dir), ["cache.tar.zst"]);
    assert.deepEqual(bashOffers(["export", "-"], dir), ["--force"]);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});

for (const shell of shells) {
  const found = spawnSync(shell, ["--version"]).status === 0;
  test(`${shell} takes its script`, { skip: found ? false : `${shell} is not installed` }, () => {
    execFileSync(shell, ["-n", "-c", completionScript(shell, commands)]);
  });
}

test("the scripts hold every command, option and help, quoted", () => {
  const zsh = completionScript("zsh", commands);
  assert.ok(zsh.includes(`'load:restore what the store has'`));
  assert.ok(zsh.includes(`'--key:this pod'"'"'s'`));
  const fish = completionScript("fish", commands);
  assert.ok(fish.includes(`-a export -d 'it'"'"'s a file'`));
  assert.ok(fish.includes(`complete -c b10-compile-cache -F -n '__fish_seen_subcommand_from export'`));
  assert.ok(fish.includes(`-n '__fish_seen_subcommand_from load' -l key -d 'this pod'"'"'s'`));
});
