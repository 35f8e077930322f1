/** Damage in the store: a clear ERROR, and the target stays as it was. lib/'s own tests go through every byte. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, operate, stamps, storeFiles, testTimeoutMs, writeTree } from "./fleet.ts";

/** So many places in a file, from its first byte to its last. */
function places(size: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => Math.round(at * (size - 1) / (count - 1)));
}

const placesInAFile = 12;

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`damage, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    for (const [kind, ending] of [["layer", ".tar.zst"], ["manifest", "1.json"]] as const) {
      test(
        `a flipped byte or an early end of a ${kind} is an ERROR, and nothing is restored`,
        options,
        async () => {
          using fleet = new Fleet();
          const [one, two] = [fleet.pod("one"), fleet.pod("two")];
          writeTree(one.torchDir, "saved");
          await operate(target, one, ["save"]);
          writeTree(two.torchDir, "local");
          const [file = ""] = storeFiles(fleet, ending);
          const whole = fs.readFileSync(file);
          const before = stamps(two.torchDir).slice(1);
          const expectError = async (what: string) => {
            const loaded = await operate(target, two, ["load"]);
            assert.equal(loaded.status, "ERROR", what);
            assert.match(String(loaded.code), /^bad_(layer|index|manifest)$/, what);
            // The directory itself may have held a staging directory for a moment; all that is in it is untouched.
            assert.deepEqual(stamps(two.torchDir).slice(1), before, what);
          };
          for (const at of places(whole.length, placesInAFile)) {
            const flipped = Uint8Array.from(whole);
            flipped[at] = (flipped[at] ?? 0) ^ 0x20;
            fs.writeFileSync(file, flipped);
            await expectError(`byte ${at} of ${whole.length} flipped`);
            fs.writeFileSync(file, whole.subarray(0, at));
            await expectError(`cut to ${at} of ${whole.length} bytes`);
          }
          fs.writeFileSync(file, whole);
          assert.equal((await operate(target, two, ["load"])).status, "SUCCESS");
        },
      );
    }

    test("a layer that is gone is an ERROR that names it", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two")];
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const [layer = ""] = storeFiles(fleet, ".tar.zst");
      fs.rmSync(layer);
      const loaded = await operate(target, two, ["load"]);
      assert.deepEqual([loaded.status, loaded.code], ["ERROR", "bad_layer"]);
      assert.ok(loaded.message.includes(path.basename(layer)), loaded.message);
      assert.ok(!fs.existsSync(two.torchDir), "the directory is as it was: not there");
    });

    test("what a killed saver left behind is no cache", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two")];
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const [generation = ""] = storeFiles(fleet, "1.json");
      const keyDir = path.dirname(path.dirname(generation));
      // Published, and the saver died before it could commit it.
      fs.rmSync(generation);
      fs.writeFileSync(path.join(keyDir, "incoming", "0123456789abcdef0123456789abcdef.tar.zst"), "half");
      const loaded = await operate(target, two, ["load"]);
      assert.equal(loaded.status, "DOES_NOT_EXIST");
      assert.equal((await operate(target, one, ["save"])).status, "SUCCESS");
      assert.equal((await operate(target, two, ["load"])).status, "SUCCESS");
    });
  });
}
