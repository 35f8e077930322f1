/** Each case of the hostile list, each way by which it can reach a pod: docs/security.md names the same cases. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { projectDir } from "../../scripts/project.ts";
import { isNative, refused, ways } from "./attack.ts";
import { cases } from "./cases.ts";
import { bundleOf, type HostileCache } from "./native_writer.ts";

test("docs/security.md has a row for each case", () => {
  const page = fs.readFileSync(path.join(projectDir, "docs", "security.md"), "utf8");
  const rows = page.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  for (const { point, what, native, foreign } of cases) {
    const row = rows.find((cells) => cells[1] === String(point) && cells[2] === what);
    const reached = [...native ? ["layer, bundle"] : [], ...foreign ? ["archive"] : []].join("; ");
    assert.equal(row?.[3], reached, `${point}. ${what}`);
  }
});

/** Some take seconds to make. */
const made = new Map<() => unknown, HostileCache | Uint8Array>();

for (const way of ways) {
  describe(`a hostile ${way}`, () => {
    for (const { point, what, rule, native, foreign, foreignRule } of cases) {
      const make = isNative(way) ? native : foreign;
      if (!make) continue;
      test(`${point}. ${what}`, async () => {
        const hostile = made.get(make) ?? await make();
        made.set(make, hostile);
        // Only one layer fits into a bundle.
        if (way === "import of a bundle" && !(hostile instanceof Uint8Array) && !bundleOf(hostile)) return;
        await refused(way, hostile, isNative(way) ? rule : foreignRule ?? rule);
      });
    }
  });
}
