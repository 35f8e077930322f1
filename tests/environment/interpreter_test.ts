import assert from "node:assert/strict";
import { test } from "node:test";
import { type Choice, findInterpreter } from "../../lib/environment/interpreter.ts";
import { CacheError } from "../../lib/errors.ts";
import { elf, type FakePod, startPod } from "./fake_pod.ts";

const pod: FakePod = {
  files: {
    "/opt/venv/bin/python": elf,
    "/opt/other/bin/python3": elf,
    "/usr/bin/python3": elf,
    "/usr/bin/bash": elf,
    "/usr/local/bin/vllm": "#!/opt/venv/bin/python\n",
    "/usr/local/bin/serve": "#!/usr/bin/env python3\n",
    "/usr/local/bin/start.sh": "#!/bin/bash\nexec vllm serve\n",
    "/usr/local/bin/gone": "#!/opt/deleted/bin/python\n",
    "/app/train": "#!/opt/other/bin/python3\n",
    "/opt/uv/bin/tool":
      `#!/bin/sh\n'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"\n' '''\n`,
    "/opt/uv/bin/python": elf,
    "/app/notes.txt": "#!/opt/other/bin/python3\n".slice(1),
  },
  links: { "/usr/local/bin/tool": "/opt/uv/bin/tool" },
};

async function chosen(choice: Choice, from: FakePod = pod): Promise<string | undefined> {
  return (await findInterpreter(startPod(from).system, choice))?.path;
}

const choices: readonly (readonly [name: string, choice: Choice, expected: string])[] = [
  [
    "B10_CACHE_PYTHON before the command",
    { python: "/usr/bin/python3", command: ["vllm"] },
    "/usr/bin/python3",
  ],
  ["a B10_CACHE_PYTHON without a slash on PATH", { python: "python3" }, "/usr/bin/python3"],
  ["an empty B10_CACHE_PYTHON as unset", { python: "" }, "/opt/venv/bin/python"],
  ["the #! line of the command", { command: ["./train", "--fast"] }, "/opt/other/bin/python3"],
  ["the python3 that env finds", { command: ["serve"] }, "/usr/bin/python3"],
  ["the command itself", { command: ["/opt/other/bin/python3", "-m", "vllm"] }, "/opt/other/bin/python3"],
  ["the command itself, on PATH", { command: ["python3", "model.py"] }, "/usr/bin/python3"],
  ["a python beside the link's target", { command: ["tool"] }, "/opt/uv/bin/python"],
  ["vllm's where the command is a shell script", { command: ["start.sh"] }, "/opt/venv/bin/python"],
  ["vllm's where the command is a program", { command: ["bash", "-c", "x"] }, "/opt/venv/bin/python"],
  ["vllm's where the command is not there", { command: ["absent"] }, "/opt/venv/bin/python"],
  ["vllm's where the command's python is gone", { command: ["gone"] }, "/opt/venv/bin/python"],
  ["vllm's where the command is not executable", { command: ["./notes.txt"] }, "/opt/venv/bin/python"],
  ["vllm's where there is no command", {}, "/opt/venv/bin/python"],
];

for (const [name, choice, expected] of choices) {
  test(`findInterpreter() takes ${name}`, async () => {
    assert.equal(await chosen(choice), expected);
  });
}

test("findInterpreter() takes python3 on PATH where there is no vllm, and the first on PATH", async () => {
  assert.equal(await chosen({}, { files: { "/usr/bin/python3": elf } }), "/usr/bin/python3");
  const both = { files: { "/usr/bin/python3": elf, "/usr/local/bin/python3": elf } };
  assert.equal(await chosen({}, both), "/usr/local/bin/python3");
});

test("findInterpreter() passes by a pyenv shim of vllm", async () => {
  const files = { "/usr/local/bin/vllm": "#!/usr/bin/env bash\nexec pyenv\n", "/usr/bin/python3": elf };
  assert.equal(await chosen({}, { files }), "/usr/bin/python3");
});

test("findInterpreter() finds nothing on a pod without Python", async () => {
  assert.equal(await chosen({ command: ["serve"] }, {}), undefined);
});

test("findInterpreter() keeps a virtual environment's link unresolved", async () => {
  const linked = { files: { "/usr/bin/python3.11": elf }, links: { "/v/bin/python": "/usr/bin/python3.11" } };
  assert.equal(await chosen({ python: "/v/bin/python" }, linked), "/v/bin/python");
});

test("findInterpreter() refuses a B10_CACHE_PYTHON that is not there, naming it and the rule", async () => {
  await assert.rejects(chosen({ python: "/opt/nothing" }), (error) => {
    assert.ok(error instanceof CacheError);
    assert.equal(error.code, "bad_setting");
    assert.equal(
      error.message,
      'Cannot use B10_CACHE_PYTHON "/opt/nothing" as it must be a Python interpreter that runs: there is no such executable file',
    );
    return true;
  });
  await assert.rejects(chosen({ python: "/app/notes.txt" }), { code: "bad_setting" });
});
