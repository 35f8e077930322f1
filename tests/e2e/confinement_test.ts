/** Nothing is read through a symlink into a cache, nothing is written outside the cache directories. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { mainProgram, ownRuntime, selectTargets } from "../targets.ts";
import { Fleet, operate, run, testTimeoutMs, writeTree } from "./fleet.ts";

const strace = "/usr/bin/strace";
const writingCalls =
  "open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat," +
  "symlink,symlinkat,truncate,chmod,fchmodat,chown,fchownat,utimensat,mknod,mknodat";

/** The paths that a traced call would write to: those it names, or none where it only reads. */
function writtenPaths(line: string): string[] {
  if (/\b(open|openat)\(/.test(line) && !/O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(line)) return [];
  if (/= -1 /.test(line)) return [];
  return [...line.matchAll(/"([^"]*)"/g)].map(([, named = ""]) => named);
}

/** Puts a symlink to `secret` in the place of a directory once it is there. */
async function swapForSymlink(dir: string, secret: string): Promise<void> {
  while (!fs.existsSync(dir)) await new Promise((resolve) => setTimeout(resolve, 1));
  fs.rmdirSync(dir);
  fs.symlinkSync(secret, dir);
}

/** Every setting and every argument that names a place, with each command that would go there. */
function waysOut(place: string): { words: readonly string[]; settings: Readonly<Record<string, string>> }[] {
  const by = (settings: Readonly<Record<string, string>>, ...commands: readonly (readonly string[])[]) =>
    commands.map((words) => ({ words, settings }));
  return [
    ...by({ TORCHINDUCTOR_CACHE_DIR: place }, ["load"], ["save"], ["clear"]),
    ...by({ VLLM_CACHE_ROOT: place }, ["load", "--vllm"], ["save", "--vllm"], ["clear", "--vllm"]),
    ...by({ B10FS_CACHE_DIR: place }, ["load"], ["save"], ["list"], ["verify"]),
    ...by({ LOCAL_WORK_DIR: place }, ["load"], ["save"]),
    ...by({}, ["load", "--root", `mine=${place}`], ["save", "--root", `mine=${place}`]),
    ...by({}, ["export", `${place}.tar.zst`], ["import", `${place}.tar.zst`]),
  ];
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`confinement, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test(
      "a cache directory that is a symlink out of the prefixes is refused by its real path",
      options,
      async () => {
        using fleet = new Fleet();
        const link = path.join(fleet.base, "link");
        fs.symlinkSync("/usr/share", link);
        const settings = [
          { TORCHINDUCTOR_CACHE_DIR: link },
          { TORCHINDUCTOR_CACHE_DIR: `${link}/below` },
          { B10FS_CACHE_DIR: `${link}/store` },
        ];
        for (const setting of settings) {
          for (const operation of ["load", "save"]) {
            const report = await operate(target, fleet.pod("one", setting), [operation]);
            assert.deepEqual([report.status, report.code], ["ERROR", "path_outside_prefix"]);
            assert.match(report.message, /really "\/usr\/share/);
          }
        }
      },
    );

    test("no setting and no argument leads out, by whatever spelling", options, async () => {
      using fleet = new Fleet();
      writeTree(fleet.pod("one").torchDir);
      writeTree(fleet.pod("one").vllmDir);
      const outside = fs.mkdtempSync("/var/tmp/b10-outside-");
      const link = path.join(fleet.base, "link");
      fs.symlinkSync(outside, link);
      fs.mkdirSync(path.join(fleet.base, "deep"));
      fs.symlinkSync(fleet.base, path.join(outside, "back"));
      const twin = `${fleet.base}-twin`;
      const places = [
        path.join(outside, "below"),
        path.join(link, "below"),
        path.join(link, "deep", "below"),
        `${fleet.base}/deep/../link/below`,
        `${fleet.base}/../../${path.relative("/", outside)}/below`,
      ];
      // Twins of the only prefix: with TMPDIR's own there would be another one.
      if (!twin.startsWith("/tmp/")) places.push(path.join(twin, "below"));
      places.push("/tmpfoo/below", "/cache-evil/below");
      try {
        for (const place of places) {
          for (const { words, settings } of waysOut(place)) {
            const { code, stdout, stderr } = await run(target, fleet.pod("one", settings), [
              ...words,
              "--json",
            ]);
            const shown = `${words.join(" ")} ${JSON.stringify(settings)}: ${stdout}${stderr}`;
            assert.ok(code === 1 || code === 64, shown);
            assert.match(
              stdout + stderr,
              /"(path_outside_prefix|bad_setting)"|as it must have no "\.\."/,
              shown,
            );
          }
          const left = await operate(
            target,
            fleet.pod("one", { TRITON_CACHE_DIR: place }),
            ["load", "--all-roots"],
          );
          assert.equal(left.status, "DOES_NOT_EXIST");
        }
        assert.deepEqual(fs.readdirSync(outside), ["back"]);
        for (const dir of ["/tmpfoo", "/cache-evil", twin]) assert.equal(fs.existsSync(dir), false, dir);
      } finally {
        fs.rmSync(outside, { recursive: true });
      }
    });

    test("a prefix that is a symlink is fine", options, async () => {
      using fleet = new Fleet();
      const real = path.join(fleet.base, "really", "here");
      fs.mkdirSync(real, { recursive: true });
      const link = path.join(fleet.base, "mount");
      fs.symlinkSync(real, link);
      const settings = {
        B10_CACHE_ALLOWED_PREFIXES: link,
        TORCHINDUCTOR_CACHE_DIR: path.join(link, "torch"),
      };
      const one = fleet.pod("one", settings);
      writeTree(path.join(real, "torch"));
      assert.equal((await operate(target, one, ["save"])).status, "SUCCESS");
      fs.rmSync(path.join(real, "torch"), { recursive: true });
      assert.equal((await operate(target, one, ["load"])).status, "SUCCESS");
    });

    test("a save follows no symlink, and says which it left out", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two")];
      writeTree(one.torchDir);
      fs.writeFileSync(path.join(fleet.base, "secret"), "secret");
      fs.symlinkSync(path.join(fleet.base, "secret"), path.join(one.torchDir, "stolen"));
      fs.symlinkSync(fleet.base, path.join(one.torchDir, "stolen-directory"));
      const saved = await run(target, one, ["save"]);
      assert.equal(saved.code, 0, saved.stderr);
      assert.match(saved.stderr, /inductor\/stolen" is left out as it must be a regular file/);
      assert.equal((await operate(target, two, ["load"]))["files"], 5);
    });

    test("a load writes through no symlink", options, async () => {
      using fleet = new Fleet();
      const [one, two] = [fleet.pod("one"), fleet.pod("two")];
      writeTree(one.torchDir);
      await operate(target, one, ["save"]);
      const outside = path.join(fleet.base, "outside");
      fs.mkdirSync(outside);
      fs.mkdirSync(path.join(two.torchDir, "aa"), { recursive: true });
      fs.symlinkSync(outside, path.join(two.torchDir, "triton"));
      fs.symlinkSync(path.join(outside, "planted"), path.join(two.torchDir, "aa", "pod.py"));
      const loaded = await run(target, two, ["load", "--json"]);
      assert.equal(loaded.code, 0, loaded.stderr);
      assert.deepEqual(fs.readdirSync(outside), []);
      assert.ok(fs.existsSync(path.join(two.torchDir, "aa", "pod.so")));
      assert.match(loaded.stderr, /triton/);
    });

    test(
      "a directory of the store that becomes a symlink right after it was made gives nobody's file another mode",
      { ...options, skip: target.skip || (fs.existsSync(strace) ? false : "strace is not installed") },
      async () => {
        using fleet = new Fleet();
        const pod = fleet.pod("one");
        writeTree(pod.torchDir);
        fs.mkdirSync(fleet.storeDir, { recursive: true });
        fs.chmodSync(fleet.storeDir, 0o775);
        const secret = path.join(fleet.base, "secret");
        fs.writeFileSync(secret, "secret");
        fs.chmodSync(secret, 0o600);
        const made = path.join(fleet.storeDir, "native");
        // Time enough for whoever may write to the share to act between the two calls.
        const delayed = `exec ${strace} -f -o /dev/null -e trace=mkdir,mkdirat -e signal=none ` +
          `-P ${made} -e inject=mkdir,mkdirat:delay_exit=3000000 "$@"`;
        const saving = run(target, pod, ["save"], { shell: delayed });
        await swapForSymlink(made, secret);
        const ended = await saving;
        assert.equal(ended.code, 1, ended.stderr);
        assert.ok(fs.lstatSync(made).isSymbolicLink());
        assert.equal(fs.statSync(secret).mode & 0o777, 0o600);
      },
    );

    for (const name of ["generations", "layers", "incoming"]) {
      test(
        `a save writes and sweeps nothing through a symlink in the place of ${name}`,
        options,
        async () => {
          using fleet = new Fleet();
          const pod = fleet.pod("one");
          writeTree(pod.torchDir);
          await operate(target, pod, ["save"]);
          const outside = path.join(fleet.base, "outside");
          fs.mkdirSync(outside);
          const old = path.join(outside, `${"0".repeat(32)}.tar.zst`);
          fs.writeFileSync(old, "mine");
          fs.utimesSync(old, 0, 0);
          const native = path.join(fleet.storeDir, "native");
          const [key] = fs.readdirSync(native).filter((each) => each !== "leases" && each !== "format.json");
          const place = path.join(native, key ?? "", name);
          fs.renameSync(place, `${place}.away`);
          fs.symlinkSync(outside, place);
          fs.writeFileSync(path.join(pod.torchDir, "another.py"), "another");
          const ended = await run(target, pod, ["save"]);
          assert.equal(ended.code, 1, ended.stderr);
          assert.match(
            ended.stderr,
            new RegExp(`${name}" in the shared store as it must be a directory and not a symlink`),
          );
          assert.deepEqual(fs.readdirSync(outside), [path.basename(old)]);
        },
      );
    }

    test(
      "the kernel sees no write outside the cache directory and the store",
      { ...options, skip: target.skip || (fs.existsSync(strace) ? false : "strace is not installed") },
      async () => {
        using fleet = new Fleet();
        const [one, two] = [fleet.pod("one"), fleet.pod("two")];
        writeTree(one.torchDir, "caa");
        const trace = path.join(fleet.base, "trace");
        const shell = `exec ${strace} -f -o ${trace} -e trace=${writingCalls} -e signal=none "$@"`;
        const state = `${two.torchDir}.b10-state`;
        const allowed = [fleet.storeDir, one.torchDir, two.torchDir, state, "/dev/null"];
        if (target.name === "deno") allowed.push(one.env["DENO_DIR"] ?? "");
        // Warm, as Deno writes down what it has transpiled.
        await operate(target, one, ["status"]);
        for (const [pod, operation] of [[one, "save"], [two, "load"], [two, "clear"]] as const) {
          const ended = await run(target, pod, [operation], { shell });
          assert.equal(ended.code, 0, ended.stderr);
          const lines = fs.readFileSync(trace, "utf8").split("\n");
          const written = lines.flatMap(writtenPaths);
          const outside = written.filter((file) =>
            !allowed.some((dir) => file === dir || file.startsWith(`${dir}/`))
          );
          assert.deepEqual(outside, [], operation);
          assert.ok(
            written.some((file) => file.startsWith(`${pod.torchDir}/`) || file.startsWith(fleet.storeDir)),
          );
        }
      },
    );
  });
}
