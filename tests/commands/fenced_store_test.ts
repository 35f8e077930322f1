import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { createContext } from "../../lib/commands/context.ts";
import { openFencedStore, openFencedStoreToWrite } from "../../lib/commands/fenced_store.ts";
import { openOrCreateStore } from "../../lib/store/directory.ts";
import type { Host, Stdio, System } from "../../lib/system.ts";
import { FakeClock } from "../fake_clock.ts";
import { fakeSystem, noSandbox, only } from "../fake_system.ts";
import { intercept, newWorld, realFiles, withDirectory } from "../pods.ts";
import { cacheError } from "../store/examples.ts";

interface Pod {
  readonly system: System;
  readonly storeDir: string;
  /** The fence, and what was opened, in order. */
  readonly done: string[];
}

/** A pod whose share lies on a file system of this type. */
function withPod(act: (pod: Pod) => Promise<void>, type = "ext4"): Promise<void> {
  return withDirectory(async (base) => {
    const storeDir = path.join(base, "store");
    fs.mkdirSync(storeDir);
    await openOrCreateStore(newWorld(), storeDir);
    const done: string[] = [];
    const system = fakeSystem({
      fs: intercept(realFiles, ({ name, args }) => {
        if (name === "open") done.push(`open ${path.relative(base, String(args[0]))}`);
      }),
      clock: new FakeClock(),
      random: newWorld().random,
      env: {
        HOME: base,
        USER: "app",
        TMPDIR: base,
        LOCAL_WORK_DIR: base,
        B10FS_CACHE_DIR: storeDir,
        B10_CACHE_ALLOWED_PREFIXES: base,
      },
      host: only<Host>("host", {
        homeDir: base,
        workingDir: base,
        kernelFile: () => `22 1 0:20 / / rw - ${type} source rw`,
      }),
      stdio: only<Stdio>("stdio", { stderrIsTerminal: false, stderr: () => {} }),
      sandbox: {
        ...noSandbox,
        narrow: (roots) => {
          done.push(`fence ${roots.map((root) => path.relative(base, root)).join()}`);
          return Promise.resolve("none");
        },
      },
    });
    await act({ system, storeDir, done });
  });
}

for (const open of [openFencedStore, openFencedStoreToWrite]) {
  test(`${open.name}() puts the fence around the store alone, before it reads anything of it`, () =>
    withPod(async ({ system, storeDir, done }) => {
      const opened = await open(await createContext(system, {}));
      assert.ok(opened.store);
      assert.equal(opened.storeDir, storeDir);
      assert.deepEqual(done, ["fence store", "open store/native/format.json"]);
    }));
}

test("a store on an unknown FUSE type is opened to read, and refused to write before it is touched", () =>
  withPod(async ({ system, done }) => {
    const context = await createContext(system, {});
    await assert.rejects(openFencedStoreToWrite(context), cacheError("store_unsupported", /fuse\.gcsfuse/));
    assert.deepEqual(done, []);
    assert.ok((await openFencedStore(context)).store);
  }, "fuse.gcsfuse"));
