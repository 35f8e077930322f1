/** Ended at any moment: what is there is whole, and the next run completes it. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { takeSnapshot } from "../../scripts/snapshot.ts";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, operate, run, start, storeFiles, testTimeoutMs, writeLargeTree, writeTree } from "./fleet.ts";

/** From before the program is up to after it is done, in ms: what counts is that each outcome is right. */
const moments = [1, 40, 80, 120, 180, 260, 400];

const signals = [["SIGKILL", 137], ["SIGTERM", 143], ["SIGINT", 130]] as const;

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`interruption, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    for (const [signal, status] of signals) {
      test(
        `a load that ends by ${signal} leaves whole files only, and the next one completes it`,
        options,
        async () => {
          using fleet = new Fleet();
          const one = fleet.pod("one");
          writeLargeTree(one.torchDir);
          await operate(target, one, ["save"]);
          const expected = takeSnapshot(one.torchDir, 1_000_000_000n);
          for (const moment of moments) {
            const pod = fleet.pod(`pod-${signal}-${moment}`);
            const loading = start(target, pod, ["load"]);
            await later(moment);
            loading.kill(signal);
            const { code } = await loading.ended;
            assert.ok([0, status].includes(code), `exit status ${code} after ${moment} ms`);
            const found = fs.existsSync(pod.torchDir)
              ? takeSnapshot(pod.torchDir, 1_000_000_000n)
              : new Map();
            const stray: string[] = [];
            for (const [name, about] of found) {
              if (name.startsWith(".b10-")) stray.push(name);
              else assert.equal(about, expected.get(name), `${name} after ${moment} ms`);
            }
            if (signal !== "SIGKILL") assert.deepEqual(stray, [], `after ${moment} ms`);
            if (code !== 0 && signal !== "SIGKILL") assert.equal(found.size, 0, `after ${moment} ms`);
            const again = await operate(target, pod, ["load"]);
            assert.match(again.status, /^(SUCCESS|SKIPPED)$/, again.message);
            const completed = takeSnapshot(pod.torchDir, 1_000_000_000n);
            for (const [name, about] of expected) assert.equal(completed.get(name), about);
          }
        },
      );

      test(`a save that ends by ${signal} shows readers all of it or nothing`, options, async () => {
        using fleet = new Fleet();
        const one = fleet.pod("one");
        writeTree(one.torchDir, "first");
        await operate(target, one, ["save"]);
        writeLargeTree(one.torchDir);
        const expected = takeSnapshot(one.torchDir, 1_000_000_000n);
        for (const [number, moment] of moments.entries()) {
          const saving = start(target, one, ["save"]);
          await later(moment);
          saving.kill(signal);
          const { code } = await saving.ended;
          assert.ok([0, status].includes(code), `exit status ${code} after ${moment} ms`);
          if (signal !== "SIGKILL") {
            const left = storeFiles(fleet, "").filter((file) =>
              path.basename(path.dirname(file)) === "incoming"
            );
            assert.deepEqual(left, [], `after ${moment} ms`);
          }
          const reader = fleet.pod(`reader-${number}`);
          const loaded = await operate(target, reader, ["load"]);
          assert.equal(loaded.status, "SUCCESS", loaded.message);
          const files = takeSnapshot(reader.torchDir, 1_000_000_000n).size;
          assert.ok(files === 5 || files === expected.size, `${files} files after ${moment} ms`);
          if (code === 0) assert.equal(files, expected.size);
        }
        const saved = await operate(target, one, ["save"]);
        assert.match(saved.status, /^(SUCCESS|SKIPPED)$/, saved.message);
        const last = fleet.pod("last");
        await operate(target, last, ["load"]);
        assert.deepEqual([...takeSnapshot(last.torchDir, 1_000_000_000n)].sort(), [...expected].sort());
      });
    }

    test(
      "a file that is written without a pause while it is saved is never stored torn",
      options,
      async () => {
        using fleet = new Fleet();
        const one = fleet.pod("one");
        writeTree(one.torchDir);
        // Each version is one letter repeated, written in many small steps; a torn one would have two letters.
        const changing = path.join(one.torchDir, "changing");
        const blocks = 64;
        const stop = path.join(fleet.base, "stop");
        const script = `while [ ! -e ${stop} ]; do for c in a b c d; do : > ${changing}; n=0; ` +
          `block=$(printf "%4096s" "" | tr " " $c); while [ $n -lt ${blocks} ]; do printf %s "$block" >> ${changing}; ` +
          `n=$((n+1)); done; done; [ -d ${fleet.base} ] || exit; done`;
        const writer = start({ ...target, command: ["/bin/sh", "-c", script] }, one, []);
        try {
          for (let round = 0; round < 4; round++) {
            const saved = await run(target, one, ["save", "--json", "--namespace", `round-${round}`]);
            assert.equal(saved.code, 0, saved.stderr);
            const reader = fleet.pod(`reader-${round}`);
            await operate(target, reader, ["load", "--namespace", `round-${round}`]);
            assert.ok(fs.existsSync(path.join(reader.torchDir, "aa", "pod.py")), "the rest is saved");
            const restored = path.join(reader.torchDir, "changing");
            if (!fs.existsSync(restored)) continue;
            const content = fs.readFileSync(restored, "utf8");
            assert.equal(new Set(content).size, 1, "one version");
            assert.equal(content.length, blocks * 4096, "all of it");
          }
        } finally {
          fs.writeFileSync(stop, "");
          await writer.ended;
        }
      },
    );
  });
}
