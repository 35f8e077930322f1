/** A load or save that is started anew inside the kernel's fence, in two fake processes. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { isCarriedOperation } from "../../lib/commands/load_save.ts";
import { runProgram } from "../../lib/program.ts";
import { keyPairOf } from "../../lib/signatures.ts";
import type { Processes, Stdio, System } from "../../lib/system.ts";
import { realSystem } from "../../lib/system/real.ts";
import { noSandbox, only } from "../fake_system.ts";
import { readFiles, withDirectory, writeFiles } from "../pods.ts";

const real = realSystem();
const pair = keyPairOf("44".repeat(32));

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the process outside handed over. */
interface Entered {
  readonly roots: readonly string[];
  readonly made: readonly string[];
  readonly carried: unknown;
}

interface Place {
  readonly base: string;
  readonly cacheDir: string;
  readonly storeDir: string;
  /** Runs the program outside, up to where it would be started anew. */
  readonly outside: (
    words: readonly string[],
    settings?: Readonly<Record<string, string>>,
  ) => Promise<Ran & { entered: Entered }>;
  /** Runs what goes on: in a process with no words, no settings and no other programs. */
  readonly inside: (entered: Entered) => Promise<Ran & { narrowed: readonly string[] }>;
}

function withPlace(act: (place: Place) => Promise<void>): Promise<void> {
  return withDirectory(async (base) => {
    const [cacheDir, storeDir] = [path.join(base, "torch"), path.join(base, "share", "store")];
    fs.mkdirSync(path.dirname(storeDir));
    const env = {
      HOME: base,
      LOCAL_WORK_DIR: base,
      TORCHINDUCTOR_CACHE_DIR: cacheDir,
      B10FS_CACHE_DIR: storeDir,
      B10_CACHE_ALLOWED_PREFIXES: base,
    };
    const run = async (words: readonly string[], overrides: Partial<System>): Promise<Ran> => {
      const said = { stdout: "", stderr: "" };
      const stdio = only<Stdio>("stdio", {
        argv: words,
        stderrIsTerminal: false,
        stdout: (text) => void (said.stdout += text),
        stderr: (text) => void (said.stderr += text),
      });
      const status = await runProgram({ ...real, stdio, ...overrides });
      return { status, ...said };
    };
    await act({
      base,
      cacheDir,
      storeDir,
      outside: async (words, settings = {}) => {
        let entered: Entered | undefined;
        const enter = (roots: readonly string[], made: readonly string[], carried: unknown): never => {
          const handedOver = JSON.parse(JSON.stringify(carried));
          assert.deepEqual(handedOver, carried, "nothing is lost on the way");
          entered = { roots, made, carried: handedOver };
          throw new Error("the process ends here");
        };
        const ran = await run(words, { env: { ...env, ...settings }, sandbox: { ...noSandbox, enter } });
        assert.ok(entered, ran.stderr);
        return { ...ran, entered };
      },
      inside: async ({ made, carried }) => {
        const narrowed: string[] = [];
        const ran = await run([], {
          env: {},
          processes: only<Processes>("processes", { onSignals: () => () => {} }),
          sandbox: {
            isInside: true,
            carried,
            enter: () => made,
            narrow: (roots) => {
              narrowed.push(...roots);
              return Promise.resolve("landlock");
            },
          },
        });
        return { ...ran, narrowed };
      },
    });
  });
}

const files = { "a/kernel.py": "kernel", "b/graph": "graph" };

test("a save and a load go on inside the fence with what was settled outside", () =>
  withPlace(async ({ base, cacheDir, storeDir, outside, inside }) => {
    writeFiles(cacheDir, files);
    const before = await outside(["save", "--json", "--key", "one"]);
    assert.equal(fs.existsSync(storeDir), true, "made outside");
    const saved = await inside(before.entered);
    assert.deepEqual([saved.status, saved.stderr], [0, ""]);
    assert.partialDeepStrictEqual(JSON.parse(saved.stdout), {
      operation: "save",
      status: "SUCCESS",
      key: "one",
    });
    fs.rmSync(cacheDir, { recursive: true });
    const { entered } = await outside(["load", "--json", "--key", "one"]);
    assert.deepEqual(entered.made, [cacheDir]);
    const loaded = await inside(entered);
    assert.partialDeepStrictEqual(JSON.parse(loaded.stdout), {
      operation: "load",
      status: "SUCCESS",
      files: 2,
    });
    assert.deepEqual(readFiles(cacheDir), files);
    assert.deepEqual(loaded.narrowed, [cacheDir, storeDir, path.join(base, ".b10-compile-cache")]);
    assert.deepEqual(entered.roots, loaded.narrowed);
  }));

test("inside, flags hold as outside", () =>
  withPlace(async ({ cacheDir, outside, inside }) => {
    const { entered } = await outside(["load", "--fail-on-miss", "--quiet", "--key", "none"]);
    assert.deepEqual(await inside(entered), { status: 4, stdout: "", stderr: "", narrowed: entered.roots });
    assert.equal(fs.existsSync(cacheDir), false, "what the process outside made is removed again");
    const verbose = await inside((await outside(["load", "--verbose", "--key", "none"])).entered);
    assert.match(verbose.stderr, /key none, store /);
    assert.match(verbose.stdout, /DOES_NOT_EXIST/);
  }));

test("keys are not handed over: they are read again", () =>
  withPlace(async ({ base, cacheDir, storeDir, outside, inside }) => {
    const keyFile = path.join(base, "own.key");
    fs.writeFileSync(keyFile, pair.privateFile, { mode: 0o600 });
    writeFiles(cacheDir, files);
    const { entered } = await outside(["save", "--json", "--key", "signed"], {
      B10_CACHE_SIGNING_KEY_FILE: keyFile,
    });
    const [, secret = ""] = pair.privateFile.split("\n");
    assert.ok(secret.length > 40);
    assert.equal(JSON.stringify(entered).includes(secret), false);
    const saved = await inside(entered);
    assert.equal(JSON.parse(saved.stdout).status, "SUCCESS");
    const generations = path.join(storeDir, "native", "signed", "generations");
    const [generation = ""] = fs.readdirSync(generations);
    assert.match(fs.readFileSync(path.join(generations, generation), "utf8"), new RegExp(pair.keyId));
    fs.chmodSync(keyFile, 0o644);
    const refused = await inside(entered);
    assert.equal(JSON.parse(refused.stdout).code, "bad_setting");
  }));

test("what is no operation is none", () => {
  for (const carried of [undefined, null, "load", 1, {}, { operation: "load" }]) {
    assert.equal(isCarriedOperation(carried), false);
  }
});
