/**
 * What the design leans on, seen on each target: a probe of our own runs one experiment a process, on the real system
 * and, under Deno, with the program's own permissions.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as nodeHttp from "node:http";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import type { Writable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { denoPermissionFlags } from "../../lib/system/permissions.ts";
import { capture } from "../../scripts/process.ts";
import { kernelFence } from "../kernel_fence.ts";
import {
  compileBinary,
  denoCommand,
  type Program,
  selectTargets,
  type Target,
  targetNames,
} from "../targets.ts";
import type { ExperimentName, Observation } from "./experiments.ts";
import { muchBytes } from "./experiments/stdio.ts";

/** No check takes a tenth of this, on a busy machine either: it only ends what hangs. */
const timeoutMs = 60_000;
const scratch = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "b10-platform-")));

const probe: Program = {
  source: fileURLToPath(new URL("probe.ts", import.meta.url)),
  binary: path.join(scratch, "probe"),
};
const targets = selectTargets(probe, targetNames);

before(() => {
  if (targets.some(({ name }) => name === "binary")) compileBinary(probe);
}, { timeout: timeoutMs });

after(() => fs.rmSync(scratch, { recursive: true }));

/** What an experiment finds in its directory: see experiments/. */
function makeSite(): string {
  const dir = fs.mkdtempSync(path.join(scratch, "site-"));
  const at = (name: string) => path.join(dir, name);
  for (const name of ["root", "outside", "outside/empty"]) fs.mkdirSync(at(name));
  for (const name of ["outside/secret", "root/plain", "not-executable"]) {
    fs.writeFileSync(at(name), "planted");
  }
  fs.chmodSync(at("not-executable"), 0o644);
  fs.symlinkSync(at("outside/secret"), at("root/file-out"));
  fs.symlinkSync(at("outside"), at("root/directory-out"));
  fs.symlinkSync("nowhere", at("root/dangling"));
  fs.symlinkSync("plain", at("root/inner"));
  return dir;
}

interface Conditions {
  readonly command: readonly string[];
  readonly dir?: string;
  readonly argument?: string;
  /** Shell text that starts the probe as "$@". */
  readonly shell?: string;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

function runProbe(name: ExperimentName, conditions: Conditions) {
  const { command, dir = makeSite(), argument = "", shell, cwd = scratch, env = {} } = conditions;
  const words = [...command, name, dir, argument];
  const argv = shell === undefined ? words : ["sh", "-c", shell, "sh", ...words];
  return capture(argv, { timeoutMs, cwd, env: { ...process.env, NO_COLOR: "1", ...env } });
}

async function observe<N extends ExperimentName>(name: N, conditions: Conditions): Promise<Observation<N>> {
  const { stdout, stderr, code } = await runProbe(name, conditions);
  assert.equal(code, 0, `${name} failed: ${stderr}`);
  return JSON.parse(stdout);
}

/** Remembers what `observe` saw, for the facts that share an experiment. */
function once<T>(observe: () => Promise<T>): () => Promise<T> {
  let seen: Promise<T> | undefined;
  return () => seen ??= observe();
}

const checksAtOnce = 4;

/**
 * Most of a check is waiting, so those of a target run side by side from the first one that is asked for.
 * @returns a function that adds a check and returns what waits for its end.
 */
function sideBySide(): (check: () => Promise<void>) => () => Promise<void> {
  const waiting: (() => Promise<void>)[] = [];
  const work = async () => {
    for (let check = waiting.shift(); check; check = waiting.shift()) await check();
  };
  return (check) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // A failure is its own test's, which may come to wait for it only later.
    promise.catch(() => {});
    waiting.push(() => check().then(resolve, reject));
    return () => {
      for (let started = 0; started < checksAtOnce && waiting.length > 0; started++) void work();
      return promise;
    };
  };
}

/** Declares a fact of this target. */
type Fact = (name: string, check: (conditions: { command: readonly string[] }) => Promise<void>) => void;

for (const target of targets) {
  describe(`on ${target.name}`, () => {
    const add = sideBySide();
    const fact: Fact = (name, check) =>
      void test(
        name,
        { skip: target.skip, timeout: timeoutMs },
        add(() => check({ command: target.command })),
      );
    factsOfFiles(target, fact);
    factsOfTheFence(target, fact);
    factsOfZstd(target, fact);
    factsOfProcesses(target, fact);
    factsOfTheHost(target, fact);
    factsOfHttp(fact);
    factsOfStdio(target, fact);
  });
}

function factsOfFiles({ name }: Target, fact: Fact): void {
  const resolutionNs = name === "deno" ? 1_000_000n : 1n;

  fact(
    `a modification time reads back exact to ${resolutionNs} ns, before 1970 and after 2038 too`,
    async (on) => {
      const times = [
        1_700_000_000_123_456_789n,
        -1_234_567_891n,
        -1_000_000n,
        4_102_444_800_987_654_321n,
        0n,
      ];
      const { resolutionNs: promised, read } = await observe("times", { ...on, argument: times.join() });
      assert.equal(promised, String(resolutionNs));
      assert.deepEqual(read, times.map((ns) => String(ns / resolutionNs * resolutionNs)));
    },
  );

  fact("every whole millisecond reads back as itself", async (on) => {
    // A double of seconds falls short of about half of them, and one of node:fs after 2038 of a quarter.
    const starts = [1_700_000_000_000n, 2_161_766_808_000n, 4_102_444_800_000n, -1_000_000_000_000n];
    const times = starts.flatMap((start) =>
      Array.from({ length: 100 }, (_, i) => (start + BigInt(i * 7_919)) * 1_000_000n)
    );
    assert.deepEqual((await observe("times", { ...on, argument: times.join() })).read, times.map(String));
  });

  for (const umask of ["000", "077"]) {
    fact(`files and directories get exactly their mode with a umask of ${umask}`, async (on) => {
      for (
        const [mode, read] of Object.entries(
          await observe("modes", { ...on, shell: `umask ${umask}; exec "$@"` }),
        )
      ) {
        assert.deepEqual(read, [mode, mode, mode]);
      }
    });
  }

  fact("link() never replaces a name, and works between directories of a root", async (on) => {
    assert.deepEqual(await observe("links", on), {
      ontoName: "EEXIST",
      sizeOfName: "the second".length,
      acrossDirectories: "done",
      isOneFile: true,
      ofAbsent: "ENOENT",
    });
  });

  fact(
    "rename() moves a directory onto nothing or onto an empty directory, and onto nothing else",
    async (on) => {
      assert.deepEqual(await observe("directories", on), {
        createExisting: "EEXIST",
        createExistingSync: "EEXIST",
        removeFull: "ENOTEMPTY",
        ontoFull: "ENOTEMPTY",
        ontoFile: "ENOTDIR",
        fileOntoDirectory: "EISDIR",
        ontoAbsent: "done",
        ontoEmpty: "done",
        names: ["inner: file"],
        ofAbsent: "ENOENT",
      });
    },
  );

  fact('open("wx") takes neither a file that is there nor a dangling symlink', async (on) => {
    assert.deepEqual(await observe("exclusive", on), {
      onFile: "EEXIST",
      onFileSync: "EEXIST",
      sizeOfFile: "kept".length,
      onDangling: "EEXIST",
      onDanglingSync: "EEXIST",
      kindOfDangling: "symlink",
    });
  });

  fact("the whole file system works below a narrowed root", async (on) => {
    const { outcomes, ...rest } = await observe("fileSystemInside", on);
    for (const [call, outcome] of Object.entries(outcomes)) assert.equal(outcome, "done", call);
    assert.deepEqual(rest, {
      readAt5: "bytes",
      isWritable: true,
      touchedLately: true,
      unlink: "done",
      readAbsent: "ENOENT",
      realPathOfAbsent: "ENOENT",
    });
  });
}

/** Of the calls outside the roots those that Landlock refuses. It does not restrict reading and chmod(2). */
const landlockOutcomes = new Map([
  ["create", "EACCES"],
  ["createSync", "EACCES"],
  ["createByThread", "EACCES"],
  ["mkdir", "EACCES"],
  ["linkOut", "EACCES"],
  ["linkIn", "EXDEV"],
  ["renameOut", "EACCES"],
  ["renameIn", "EACCES"],
  ["unlink", "ENOENT"],
  ["rmdir", "EACCES"],
]);

function factsOfTheFence({ name, skip }: Target, fact: Fact): void {
  const isDeno = name === "deno";

  // Deno has its own; beside it Landlock is for whoever can call the C library.
  const fence = kernelFence();

  fact(
    isDeno
      ? "a narrowed process is refused files outside its roots, /proc, children and the network"
      : `a confined process can read everything, and write as its fence, ${fence}, lets it`,
    async (on) => {
      await withServer(async (url) => {
        const dir = makeSite();
        const { kind, carried, inside, insideByThread, outside, ...rest } = await observe("fence", {
          ...on,
          dir,
          argument: `${url}/200`,
        });
        const expected = isDeno ? "EPERM" : "done";
        assert.equal(kind, isDeno ? "deno-permissions" : fence);
        assert.deepEqual(carried, kind === "landlock" ? { handed: "over" } : undefined);
        assert.deepEqual([inside, insideByThread], ["done", "done"]);
        for (const [call, outcome] of Object.entries(outside)) {
          assert.equal(outcome, kind === "landlock" ? landlockOutcomes.get(call) ?? "done" : expected, call);
        }
        assert.deepEqual(rest, {
          procBefore: expected,
          proc: expected,
          kernelFileBefore: true,
          kernelFile: !isDeno,
          capture: expected,
          start: expected,
          http: expected,
        });
        if (kind === "none") return;
        assert.deepEqual(fs.readdirSync(path.join(dir, "outside")).sort(), ["empty", "secret"]);
      });
    },
  );

  fact(
    "a symlink in a root leads out of it, also under Deno, whose check sees the link's own place; Landlock sees the file",
    async (on) => {
      const dir = makeSite();
      const isStopped = !isDeno && fence === "landlock";
      const write = isStopped ? "EACCES" : "done";
      assert.deepEqual(await observe("symlinksOut", { ...on, dir }), {
        read: "done",
        readBelow: "done",
        write,
        createBelow: write,
        realPath: "done",
        // What keeps a process narrowed by Deno from planting one itself.
        createSymlink: isDeno ? "EPERM" : "done",
      });
      const secret = fs.readFileSync(path.join(dir, "outside/secret"), "utf8");
      assert.equal(secret, isStopped ? "planted" : "overwritten");
      assert.equal(fs.existsSync(path.join(dir, "outside/planted")), !isStopped);
    },
  );

  fact(isDeno ? "O_NOFOLLOW is ignored, so nothing may lean on it" : "O_NOFOLLOW is honoured", async (on) => {
    const outcome = isDeno ? "done" : "ELOOP";
    assert.deepEqual(await observe("noFollow", on), { read: outcome, write: outcome });
  });

  if (!isDeno) return;
  for (const flag of ["--allow-read", "--allow-write"]) {
    test(`narrow() refuses where ${flag} is not scoped`, { skip, timeout: timeoutMs }, async () => {
      const flags = denoPermissionFlags.map((given) => given.startsWith(`${flag}=`) ? flag : given);
      const { narrow } = await observe("fenceIsRefused", { command: denoCommand(probe, flags) });
      assert.match(narrow, /still grants (read|write) access to "\/" after it was revoked/);
    });
  }
  test("narrow() refuses where everything is allowed", { skip, timeout: timeoutMs }, async () => {
    const { narrow } = await observe("fenceIsRefused", { command: denoCommand(probe, ["--allow-all"]) });
    assert.match(narrow, /still grants read access to "\/" after it was revoked/);
  });
  test("narrow() refuses a root that was never granted", { skip, timeout: timeoutMs }, async () => {
    const flags = denoPermissionFlags.map((flag) =>
      flag === "--allow-write=/" ? `--allow-write=${scratch}/none` : flag
    );
    const { narrow } = await observe("fenceIsRefused", { command: denoCommand(probe, flags) });
    assert.match(narrow, /does not grant write access/);
  });
}

function factsOfZstd({ name, command }: Target, fact: Fact): void {
  const compression = once(() => observe("compression", { command }));
  const decoding = once(() => observe("decoding", { command }));
  const damage = once(() => observe("damage", { command }));
  const isDeno = name === "deno";

  fact("a frame states its content size, given beforehand, and has a checksum", async () => {
    const { bytes, window25, window27, unpledged, emptyContentBytes } = await compression();
    const stated = { contentBytes: bytes, hasChecksum: true };
    assert.deepEqual([window25, window27], [stated, stated]);
    assert.deepEqual(unpledged, isDeno ? {} : stated);
    assert.equal(emptyContentBytes, 0);
  });

  fact(
    isDeno
      ? "compressing into more than one chunk appends an empty frame, into one does not"
      : "compressing makes exactly one frame, whatever the chunk",
    async () => {
      const { surplusBytesOfSmallChunks, surplusBytesOfOneChunk } = await compression();
      assert.equal(surplusBytesOfOneChunk, 0);
      assert.equal(surplusBytesOfSmallChunks, isDeno ? 9 : 0);
    },
  );

  fact("one frame a call decodes whole, with its size as chunk and as limit", async () => {
    for (const [what, isWhole] of Object.entries((await decoding()).results)) {
      assert.ok(isWhole, what);
    }
  });

  fact("output above maxOutputLength throws", async () => {
    const { oneByteTooMany, oneByteTooManyInSmallChunks } = await decoding();
    const refusal = "Cannot create a Buffer larger than 299999 bytes";
    assert.deepEqual([oneByteTooMany, oneByteTooManyInSmallChunks], [refusal, refusal]);
  });

  fact("ZSTD_d_windowLogMax does not refuse a larger window where the whole frame is at hand", async (on) => {
    assert.deepEqual(await observe("windows", on), { window27: "done", window28: "done" });
  });

  fact(
    "a frame that is cut short decodes without an error, to whole length only without its checksum",
    async () => {
      const { bytes, cut } = await damage();
      const [checksumMissing, ...others] = cut;
      assert.equal(checksumMissing, bytes);
      for (const length of others) assert.ok(Number(length) < bytes, `${length} of ${bytes}`);
    },
  );

  fact("a flipped bit throws", async () => {
    const { flippedContent, flippedChecksum, flippedMagic } = await damage();
    assert.deepEqual([flippedContent, flippedChecksum, flippedMagic], ["thrown", "thrown", "thrown"]);
  });

  fact(
    isDeno
      ? "all that follows a first frame, even a skippable one, is dropped"
      : "frame after frame is decoded",
    async (on) => {
      const { two, twoInOneChunk, afterSkippable, beforeSkippable } = await observe("manyFrames", on);
      assert.deepEqual(
        [two, twoInOneChunk, afterSkippable],
        isDeno ? [1_000, 1_000, 0] : [2_000, 2_000, 1_000],
      );
      assert.equal(beforeSkippable, 1_000);
    },
  );
}

function factsOfProcesses(_target: Target, fact: Fact): void {
  fact("a child's own exit code comes through, and 128 + n for a signal", async (on) => {
    assert.deepEqual(await observe("exitCodes", on), {
      "exit 0": [0, 0],
      "exit 3": [3, 3],
      "exit 255": [255, 255],
      "kill -KILL $$": [137, 137],
      "kill -TERM $$": [143, 143],
      "kill -INT $$": [130, 130],
    });
  });

  fact("a child's death by a real-time signal is 128 + n as well", async (on) => {
    assert.deepEqual(await observe("realTimeDeath", on), { started: 163 });
  });

  fact("a child that catches the signal sent to it keeps its own exit code", async (on) => {
    assert.deepEqual(await observe("terminate", on), {
      caught: { code: 7, again: "done" },
      plain: { code: 143, again: "done" },
    });
  });

  fact("a command that cannot be started says ENOENT or EACCES", async (on) => {
    assert.deepEqual(await observe("startErrors", on), {
      "/absent/command": ["ENOENT", "ENOENT"],
      "no-such-command-anywhere": ["ENOENT", "ENOENT"],
      "DIR/not-executable": ["EACCES", "EACCES"],
      "DIR": ["EACCES", "EACCES"],
    });
  });

  fact(
    "capture() ends in time for a child that ignores SIGTERM or leaves its pipe to a grandchild",
    async (on) => {
      for (const [child, run] of Object.entries(await observe("timeouts", on))) {
        const { elapsedMs, ...rest } = run;
        assert.deepEqual(rest, { code: 137, timedOut: true, stdout: "out\n" }, child);
        // The grandchild holds the pipe for 20 s.
        assert.ok(elapsedMs >= 1_990 && elapsedMs < 15_000, `${child}: ${elapsedMs} ms`);
      }
    },
  );

  fact("aborting sends SIGTERM, also where it came before the start", async (on) => {
    assert.deepEqual(await observe("abort", on), {
      code: 9,
      stdout: "caught\n",
      timedOut: false,
      beforeStart: 143,
    });
  });

  fact("a process outlives the signals that it handles", async (on) => {
    assert.deepEqual(await observe("signals", on), ["SIGTERM", "SIGINT", "SIGHUP", "SIGTERM"]);
  });

  fact("a process dies of a signal that it no longer handles", async (on) => {
    assert.equal((await runProbe("signals", { ...on, argument: "after" })).code, 143);
  });

  fact("large output is captured whole, with characters of several bytes", async (on) => {
    assert.deepEqual(await observe("capturedOutput", on), {
      code: 0,
      stdoutChars: 6_000_000,
      stdoutIsWhole: true,
      stderrChars: 1_000_000,
      stderrIsWhole: true,
    });
  });

  fact("a started child gets all of this process's stdin", async (on) => {
    const dir = makeSite();
    const shell = 'head -c 300000 /dev/zero | "$@"';
    assert.deepEqual(await observe("inheritedStdin", { ...on, dir, shell }), { code: 0 });
    assert.equal(fs.statSync(path.join(dir, "stdin")).size, 300_000);
  });
}

function factsOfTheHost(_target: Target, fact: Fact): void {
  const ask = (command: string, ...args: string[]) =>
    execFileSync(command, args, { encoding: "utf8" }).trim();

  fact("the host is described as uname, id and stat describe it", async (on) => {
    const dir = makeSite();
    const host = await observe("host", { ...on, dir, env: { HOME: "/somebodys/home" } });
    assert.equal(host.machine, ask("uname", "-m"));
    assert.equal(String(host.uid), ask("id", "-u"));
    assert.equal(host.passwdName, ask("id", "-un"));
    assert.equal(host.homeDir, "/somebodys/home");
    assert.equal(host.workingDir, scratch);
    assert.equal(host.fileSystemType.toString(16), ask("stat", "-f", "-c", "%t", dir));
    const { bavail, bsize } = fs.statfsSync(dir);
    // Others write to the same disk meanwhile.
    assert.ok(Math.abs(host.freeBytes / (bavail * bsize) - 1) < 0.2, `${host.freeBytes} bytes`);
  });

  fact(
    "the user has a name without USER and LOGNAME, and /proc is read, if need be with tools",
    async (on) => {
      const shell = 'unset USER LOGNAME LNAME USERNAME; exec "$@"';
      assert.equal((await observe("host", { ...on, shell })).passwdName, ask("id", "-un"));
    },
  );

  fact("/proc is read, if need be with the help of tools", async (on) => {
    const { kernelFile, kernelFileAbsent, kernelDirectory, kernelDirectoryAbsent } = await observe(
      "host",
      on,
    );
    assert.equal(kernelFile?.trim(), ask("cat", "/proc/version"));
    assert.equal(kernelFileAbsent, undefined);
    assert.equal(kernelDirectory, true);
    assert.deepEqual(kernelDirectoryAbsent, []);
  });
}

function keepWriting(stream: Writable, text: string): void {
  const timer = setInterval(() => stream.write(text), 50);
  stream.on("close", () => clearInterval(timer)).on("error", () => {});
}

/** Runs `use` with the address of a server whose paths are its answers. */
async function withServer(use: (url: string) => Promise<void>): Promise<void> {
  const server = nodeHttp.createServer((request, response) => {
    const answer = request.url?.slice(1) ?? "";
    if (answer === "silent") return;
    if (answer === "endless") {
      response.writeHead(200);
      keepWriting(response, "more");
    } else if (answer === "trickle") {
      // The headers go on and on, so that the connection is never idle.
      request.socket.write("HTTP/1.1 200 OK\r\nx-header: ");
      keepWriting(request.socket, "x");
    } else {
      response.writeHead(Number(answer)).end("{}");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  try {
    await use(`http://127.0.0.1:${port}`);
  } finally {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }
}

function factsOfHttp(fact: Fact): void {
  fact("status() gives the server's code, whatever proxy the environment names", async (on) => {
    const proxy = "http://127.0.0.1:1";
    const env = { http_proxy: proxy, HTTP_PROXY: proxy, ALL_PROXY: proxy, all_proxy: proxy };
    await withServer(async (url) => {
      const answers = await observe("http", { ...on, env, argument: `5000,${url},/200,/401,/503` });
      assert.deepEqual(Object.values(answers).map(({ status }) => status), [200, 401, 503]);
    });
  });

  for (const server of ["silent", "trickle"]) {
    fact(
      `status() fails in time against a server that is ${server === "silent" ? "silent" : "too slow"}`,
      async (on) => {
        await withServer(async (url) => {
          const answer = (await observe("http", { ...on, argument: `200,${url},/${server}` }))[`/${server}`];
          assert.equal(answer?.status, "failed");
          assert.ok(answer.elapsedMs < 1_500, `${answer.elapsedMs} ms`);
        });
      },
    );
  }

  fact("status() does not wait for a body, nor does the end of the process", async (on) => {
    await withServer(async (url) => {
      assert.equal(
        (await observe("http", { ...on, argument: `5000,${url},/endless` }))["/endless"]?.status,
        200,
      );
    });
  });

  fact("status() fails where nobody listens", async (on) => {
    assert.equal(
      (await observe("http", { ...on, argument: "5000,http://127.0.0.1:1,/" }))["/"]?.status,
      "failed",
    );
  });
}

function factsOfStdio({ name }: Target, fact: Fact): void {
  fact("stdout is written whole to a slow reader", async (on) => {
    const { stdout } = await runProbe("writeMuch", { ...on, shell: '"$@" | { sleep 0.1; cat; }' });
    assert.equal(stdout.length, muchBytes + '"written"\n'.length);
    assert.ok(stdout.endsWith('x\n"written"\n'));
  });

  fact("a reader that goes away is no failure", async (on) => {
    const { stderr } = await runProbe("writeMuch", {
      ...on,
      shell: '{ "$@"; echo "status $?" >&2; } | head -c 1',
    });
    assert.equal(stderr.trim(), "status 0");
  });

  fact(
    name === "bun"
      ? ".env and bunfig.toml of the working directory are taken, hence the flags of the binary"
      : ".env and bunfig.toml of the working directory have no influence",
    async (on) => {
      const cwd = makeSite();
      fs.writeFileSync(path.join(cwd, ".env"), "B10_PROBE_DOTENV=loaded\n");
      fs.writeFileSync(path.join(cwd, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
      fs.writeFileSync(path.join(cwd, "preload.ts"), "globalThis.b10Preloaded = true;\n");
      const seen = await observe("environment", { ...on, cwd, argument: "B10_PROBE_DOTENV" });
      assert.deepEqual(seen, name === "bun" ? { value: "loaded", preloaded: true } : { preloaded: false });
    },
  );
}
