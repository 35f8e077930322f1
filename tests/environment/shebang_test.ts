import assert from "node:assert/strict";
import { test } from "node:test";
import { isPythonName, parseShebang } from "../../lib/environment/shebang.ts";

const pyenvShim = `#!/usr/bin/env bash
set -e
[ -n "$PYENV_DEBUG" ] && set -x

program="\${0##*/}"
exec "/root/.pyenv/libexec/pyenv" exec "$program" "$@"
`;

const cases: readonly (readonly [name: string, text: string, expected: ReturnType<typeof parseShebang>])[] = [
  ["pip", "#!/opt/venv/bin/python3\n# -*- coding: utf-8 -*-\nimport re\n", {
    kind: "path",
    path: "/opt/venv/bin/python3",
  }],
  ["a blank after #! and options", "#! /usr/bin/python3.12 -sE\n", {
    kind: "path",
    path: "/usr/bin/python3.12",
  }],
  ["a free-threaded build", "#!/opt/py/bin/python3.13t\n", { kind: "path", path: "/opt/py/bin/python3.13t" }],
  ["env", "#!/usr/bin/env python3\n", { kind: "name", name: "python3" }],
  ["conda's long prefix", "#!/usr/bin/env python\nimport sys\n", { kind: "name", name: "python" }],
  ["env -S with variables", "#!/usr/bin/env -S OMP_NUM_THREADS=1 python3 -u\n", {
    kind: "name",
    name: "python3",
  }],
  ["env -S without a blank", "#!/usr/bin/env -Spython3 -u\n", { kind: "name", name: "python3" }],
  ["env with a path", "#!/usr/bin/env /opt/py/bin/python3\n", { kind: "path", path: "/opt/py/bin/python3" }],
  ["pip's long path", `#!/bin/sh\n'''exec' "/a path/bin/python3" "$0" "$@"\n' '''\nimport re\n`, {
    kind: "path",
    path: "/a path/bin/python3",
  }],
  ["distlib's long path without blanks", `#!/bin/sh\n'''exec' /long/bin/python3 "$0" "$@"\n' '''\n`, {
    kind: "path",
    path: "/long/bin/python3",
  }],
  ["uv's long path", `#!/bin/sh\n'''exec' '/long/bin/python' "$0" "$@"\n' '''\n`, {
    kind: "path",
    path: "/long/bin/python",
  }],
  [
    "uv's relocatable environment",
    `#!/bin/sh\n'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"\n' '''\n`,
    { kind: "beside", name: "python" },
  ],
  ["a shell script", "#!/bin/sh\nexec vllm serve\n", undefined],
  [
    "a shell script that starts with some other quoted command",
    `#!/bin/sh\n'''exec' "$PYTHON" "$0"\n`,
    undefined,
  ],
  ["a pyenv shim", pyenvShim, undefined],
  ["another language", "#!/usr/bin/env perl\n", undefined],
  ["a program whose name only starts like Python's", "#!/usr/bin/python3-config\n", undefined],
  ["an ELF file", "\x7fELF\x02\x01", undefined],
  ["an empty file", "", undefined],
  ["#! alone", "#!\n", undefined],
  ["env alone", "#!/usr/bin/env\n", undefined],
];

for (const [name, text, expected] of cases) {
  test(`parseShebang() understands ${name}`, () => {
    assert.deepEqual(parseShebang(text), expected);
  });
}

test("isPythonName() goes by the last component", () => {
  const yes = ["python", "python3", "/opt/venv/bin/python3.12", "python3.13t", "pypy3"];
  const no = ["pythonw.sh", "python3-config", "ipython", "/opt/python3/bin/vllm", ""];
  assert.deepEqual(yes.filter(isPythonName), yes);
  assert.deepEqual(no.filter(isPythonName), []);
});
