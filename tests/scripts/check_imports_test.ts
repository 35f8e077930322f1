import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseGraph } from "../../scripts/imports/graph.ts";
import { findProblems } from "../../scripts/imports/rules.ts";

interface Edge {
  specifier: string;
  to: string;
  typeOnly?: boolean;
}

/** What `deno info --json` prints for these modules of a project in /project. */
function denoInfo(modules: Record<string, Edge[]>): string {
  const url = (name: string) => name.includes(":") ? name : `file:///project/${name}`;
  return JSON.stringify({
    version: 1,
    modules: Object.entries(modules).map(([name, edges]) => ({
      kind: "esm",
      specifier: url(name),
      dependencies: edges.map(({ specifier, to, typeOnly }) => ({
        specifier,
        [typeOnly ? "type" : "code"]: { specifier: url(to) },
      })),
    })),
  });
}

const problemsOf = (modules: Record<string, Edge[]>) =>
  findProblems(parseGraph(denoInfo(modules), "/project"));

describe("the import checker", () => {
  test("accepts imports that follow the flow", () => {
    assert.deepEqual(
      problemsOf({
        "main.ts": [{ specifier: "./lib/program.ts", to: "lib/program.ts" }],
        "lib/program.ts": [{ specifier: "./cli.ts", to: "lib/cli.ts" }],
        "lib/cli.ts": [{ specifier: "./commands/load.ts", to: "lib/commands/load.ts" }],
        "lib/commands/load.ts": [{ specifier: "../load.ts", to: "lib/load.ts" }],
        "lib/load.ts": [{ specifier: "./errors.ts", to: "lib/errors.ts" }],
        "lib/errors.ts": [],
      }),
      [],
    );
  });

  test("finds a cycle", () => {
    assert.deepEqual(
      problemsOf({
        "lib/errors.ts": [{ specifier: "./text.ts", to: "lib/text.ts" }],
        "lib/text.ts": [{ specifier: "./names.ts", to: "lib/names.ts" }],
        "lib/names.ts": [{ specifier: "./errors.ts", to: "lib/errors.ts" }],
      }),
      ["cycle: lib/errors -> lib/text -> lib/names -> lib/errors"],
    );
  });

  test("finds a module that imports itself", () => {
    assert.deepEqual(
      problemsOf({ "lib/text.ts": [{ specifier: "./text.ts", to: "lib/text.ts" }] }),
      ["cycle: lib/text -> lib/text"],
    );
  });

  test("does not count types as a cycle", () => {
    assert.deepEqual(
      problemsOf({
        "lib/progress.ts": [{ specifier: "./progress_bar.ts", to: "lib/progress_bar.ts" }],
        "lib/progress_bar.ts": [{ specifier: "./progress.ts", to: "lib/progress.ts", typeOnly: true }],
      }),
      [],
    );
  });

  test("keeps the real world for the composition root", () => {
    const real = { specifier: "./system/real.ts", to: "lib/system/real.ts" };
    assert.deepEqual(
      problemsOf({ "main.ts": [real], "lib/pod.ts": [real], "lib/system/real.ts": [] }),
      ["lib/pod: imports lib/system/real, which is for main alone"],
    );
  });

  test("finds an import of what stands later in the flow", () => {
    assert.deepEqual(
      problemsOf({
        "lib/store.ts": [{ specifier: "./load.ts", to: "lib/load.ts" }],
        "lib/load.ts": [],
      }),
      ["lib/store: imports lib/load, which stands later in the flow"],
    );
  });

  test("counts types for the layers", () => {
    assert.deepEqual(
      problemsOf({
        "lib/store/directory.ts": [{ specifier: "../load.ts", to: "lib/load.ts", typeOnly: true }],
        "lib/load.ts": [],
      }),
      ["lib/store/directory: imports lib/load, which stands later in the flow"],
    );
  });

  test("finds a module that imports tests or scripts", () => {
    assert.deepEqual(
      problemsOf({ "lib/load.ts": [{ specifier: "../tests/fixture.ts", to: "tests/fixture.ts" }] }),
      ["lib/load: imports tests/fixture, which is not part of lib/"],
    );
  });

  test("keeps commands for the command line", () => {
    assert.deepEqual(
      problemsOf({
        "lib/load.ts": [],
        "lib/commands/load.ts": [{ specifier: "./save.ts", to: "lib/commands/save.ts" }],
        "lib/commands/save.ts": [],
        "lib/server.ts": [{ specifier: "./commands/load.ts", to: "lib/commands/load.ts" }],
      }),
      [
        "lib/server: imports lib/commands/load, which stands later in the flow",
        "lib/server: imports lib/commands/load, which is for cli, program alone",
      ],
    );
  });

  test("finds an effect in a pure module, but allows types of any module", () => {
    assert.deepEqual(
      problemsOf({
        "lib/manifest.ts": [
          { specifier: "node:zlib", to: "node:zlib" },
          { specifier: "./system.ts", to: "lib/system.ts", typeOnly: true },
          { specifier: "./system.ts", to: "lib/system.ts" },
        ],
        "lib/system.ts": [],
      }),
      [
        "lib/manifest: is pure, but imports node:zlib, which is not",
        "lib/manifest: is pure, but imports lib/system, which is not",
      ],
    );
  });

  test("keeps files, processes and the network in lib/system/", () => {
    assert.deepEqual(
      problemsOf({
        "lib/system/files.ts": [{ specifier: "node:fs", to: "node:fs" }],
        "lib/store/share.ts": [{ specifier: "node:fs/promises", to: "node:fs/promises" }],
      }),
      ["lib/store/share: imports node:fs/promises, whose effects belong in lib/system/"],
    );
  });

  test("finds a module that the table does not name", () => {
    assert.deepEqual(
      problemsOf({ "lib/surprise.ts": [] }),
      ["lib/surprise: has no place in the table of layers (scripts/imports/table.ts)"],
    );
  });

  test("refuses a graph with a module that is not there", () => {
    const info = JSON.stringify({
      modules: [{ specifier: "file:///project/lib/gone.ts", error: "Module not found" }],
    });
    assert.throws(() => parseGraph(info, "/project"), /lib\/gone\.ts as Module not found/);
  });
});
