/** Each case of the hostile list, each way by which it can reach a pod: docs/security.md names the same cases. */
import { describe, test } from "node:test";
import { isNative, refused, ways } from "./attack.ts";
import { cases } from "./cases.ts";
import { bundleOf, type HostileCache } from "./native_writer.ts";

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
