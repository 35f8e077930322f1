import assert from "node:assert/strict";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { isBelow } from "../lib/paths.ts";

test("isBelow() goes by whole components", () => {
  const examples: readonly (readonly [string, string, boolean])[] = [
    ["/tmp/a", "/tmp", true],
    ["/tmp/a/b", "/tmp", true],
    ["/tmp", "/tmp", false],
    ["/tmpfoo", "/tmp", false],
    ["/tmpfoo/a", "/tmp", false],
    ["/out-evil/a", "/out", false],
    ["/", "/tmp", false],
    ["/tmp", "/tmp/a", false],
    ["/tmp", "/", true],
    ["/", "/", false],
  ];
  for (const [entry, directory, below] of examples) {
    assert.equal(isBelow(entry, directory), below, `${entry} ${directory}`);
  }
});

test("isBelow() agrees with path.relative() on normal paths", () => {
  const normal = fc.array(fc.constantFrom("a", "ab", "b", "..a"), { maxLength: 4 }).map((c) =>
    `/${c.join("/")}`
  );
  fc.assert(fc.property(normal, normal, (entry, directory) => {
    const relative = path.posix.relative(directory, entry);
    assert.equal(
      isBelow(entry, directory),
      relative !== "" && relative !== ".." && !relative.startsWith("../"),
    );
  }));
});
