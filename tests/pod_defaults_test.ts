import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { podDefaults } from "../lib/pod_defaults.ts";
import type { FileStat, FileSystem, Host, System } from "../lib/system.ts";
import { realSystem } from "../lib/system/real.ts";
import { fakeSystem, only } from "./fake_system.ts";

interface Pod {
  readonly env?: Readonly<Record<string, string>>;
  readonly passwdName?: string;
  readonly uid?: number;
  /** Directories, writable unless their name ends in "ro". */
  readonly directories?: readonly string[];
}

function system({ env = {}, passwdName, uid = 1000, directories = ["/tmp"] }: Pod): System {
  return fakeSystem({
    env,
    host: only<Host>("host", {
      homeDir: "/home/passwd",
      workingDir: "/app",
      uid,
      passwdName: () => passwdName,
    }),
    fs: only<FileSystem>("fs", {
      stat: (entry) =>
        directories.includes(entry)
          ? Promise.resolve(only<FileStat>("stat", { kind: "directory" }))
          : Promise.reject(Object.assign(new Error("ENOENT"), { code: "ENOENT" })),
      isWritable: (entry) => Promise.resolve(!entry.endsWith("ro")),
    }),
  });
}

async function torchCacheDir(pod: Pod): Promise<string> {
  return (await podDefaults(system(pod))).torchCacheDir;
}

const names: readonly (readonly [string, Pod])[] = [
  ["log", { env: { LOGNAME: "log", USER: "user", LNAME: "l", USERNAME: "name" }, passwdName: "passwd" }],
  ["user", { env: { USER: "user", LNAME: "l", USERNAME: "name" }, passwdName: "passwd" }],
  ["l", { env: { LNAME: "l", USERNAME: "name" }, passwdName: "passwd" }],
  ["name", { env: { USERNAME: "name" }, passwdName: "passwd" }],
  ["user", { env: { LOGNAME: "", USER: "user" } }],
  ["passwd", { env: { LOGNAME: "", USER: "" }, passwdName: "passwd" }],
  ["uid_1000", {}],
  ["uid_0", { uid: 0 }],
  // What a file name cannot hold somewhere; all else stays.
  ["CORP_alice", { env: { USER: "CORP\\alice" } }],
  ["_________", { env: { USER: '\\/:*?"<>|' } }],
  ["a..b c@d-é", { env: { USER: "a..b c@d-é" } }],
  [".._.._etc", { env: { USER: "../../etc" } }],
  ["dom_passwd", { passwdName: "dom/passwd" }],
];

test("the user's name is taken as Python's getpass takes it, and sanitised as torch does", async () => {
  for (const [name, pod] of names) assert.equal(await torchCacheDir(pod), `/tmp/torchinductor_${name}`);
});

const places: readonly (readonly [string, Pod])[] = [
  ["/a", { env: { TMPDIR: "/a", TEMP: "/b", TMP: "/c" }, directories: ["/a", "/b", "/c", "/tmp"] }],
  ["/b", { env: { TEMP: "/b", TMP: "/c" }, directories: ["/b", "/c", "/tmp"] }],
  ["/c", { env: { TMP: "/c" }, directories: ["/c", "/tmp"] }],
  ["/b", { env: { TMPDIR: "", TEMP: "/b" }, directories: ["/b", "/tmp"] }],
  ["/b", { env: { TMPDIR: "/not/there", TEMP: "/b" }, directories: ["/b", "/tmp"] }],
  ["/b", { env: { TMPDIR: "/ro", TEMP: "/b" }, directories: ["/ro", "/b", "/tmp"] }],
  ["/tmp", { env: { TMPDIR: "/ro", TEMP: "/not/there" }, directories: ["/ro", "/tmp"] }],
  ["/var/tmp", { directories: ["/var/tmp", "/usr/tmp"] }],
  ["/usr/tmp", { directories: ["/usr/tmp"] }],
  ["/app", { directories: [] }],
  ["/a", { env: { TMPDIR: "/a/" }, directories: ["/a/", "/tmp"] }],
  ["/a/c", { env: { TMPDIR: "/a//b/../c/." }, directories: ["/a//b/../c/.", "/tmp"] }],
  ["/app/scratch", { env: { TMPDIR: "./scratch" }, directories: ["./scratch", "/tmp"] }],
  ["/app", { env: { TMPDIR: "." }, directories: [".", "/tmp"] }],
];

test("the temporary directory is chosen as Python's tempfile chooses it", async () => {
  for (const [place, pod] of places) {
    assert.equal(await torchCacheDir(pod), `${place}/torchinductor_uid_1000`);
  }
});

test("the home directory is HOME's, else the passwd database's", async () => {
  assert.equal((await podDefaults(system({ env: { HOME: "/root" } }))).homeDir, "/root");
  assert.equal((await podDefaults(system({ env: { HOME: "" } }))).homeDir, "/home/passwd");
  assert.equal((await podDefaults(system({}))).homeDir, "/home/passwd");
});

test("the share is mounted where its directory is there", async () => {
  assert.equal((await podDefaults(system({ directories: ["/tmp", "/cache/model"] }))).shareMounted, true);
  assert.equal((await podDefaults(system({ directories: ["/tmp", "/cache"] }))).shareMounted, false);
});

/** torch/_inductor/runtime/cache_dir_utils.py, default_cache_dir(), over the same parts of Python's library. */
const likeTorch = `
import getpass, os, re, sys, tempfile
try:
    username = getpass.getuser()
except (KeyError, ModuleNotFoundError, OSError):
    username = f"uid_{os.getuid()}"
username = re.sub(r'[\\\\/:*?"<>|]', "_", username)
sys.stdout.write(os.path.abspath(os.path.join(tempfile.gettempdir(), "torchinductor_" + username)))
`;

/** torch's own file, without the seconds that importing all of torch takes. */
const torchItself = `
import importlib.util, os, sys, types
torch = importlib.util.find_spec("torch").submodule_search_locations[0]
environment = types.ModuleType("torch._environment")
environment.is_fbcode = lambda: False
sys.modules["torch"] = types.ModuleType("torch")
sys.modules["torch._environment"] = environment
file = os.path.join(torch, "_inductor", "runtime", "cache_dir_utils.py")
spec = importlib.util.spec_from_file_location("cache_dir_utils", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.stdout.write(os.path.abspath(module.default_cache_dir()))
`;

let scratch = "";
before(() => {
  scratch = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "b10-defaults-")));
  fs.mkdirSync(path.join(scratch, "tmp dir"));
});
after(() => fs.rmSync(scratch, { recursive: true }));

/** What the program and a Python program answer for the same environment, in the same working directory. */
async function bothAnswers(python: string, source: string, env: Record<string, string>) {
  const { PATH = "/usr/bin:/bin" } = process.env;
  const theirs = execFileSync(python, ["-c", source], {
    encoding: "utf8",
    cwd: scratch,
    env: { PATH, ...env },
  });
  const real = realSystem();
  const ours = await podDefaults({ ...real, env, host: { ...real.host, workingDir: scratch } });
  return { ours: ours.torchCacheDir, theirs };
}

function realEnvironments(): Record<string, string>[] {
  return [
    {},
    { USER: "alice", TMPDIR: path.join(scratch, "tmp dir") },
    { LOGNAME: "CORP\\bob", USER: "alice", TMPDIR: `${scratch}//./tmp dir/../tmp dir/` },
    { LNAME: "é:*", TMPDIR: path.join(scratch, "not there"), TMP: scratch },
  ];
}

test("an equivalent Python program agrees on torch's default directory", async () => {
  for (const env of realEnvironments()) {
    const { ours, theirs } = await bothAnswers("python3", likeTorch, env);
    assert.equal(ours, theirs);
  }
});

const torchPython = process.env["B10_TORCH_PYTHON"];

test("torch itself agrees on its default directory", {
  skip: torchPython ? false : "B10_TORCH_PYTHON names no Python that has torch",
}, async () => {
  for (const env of realEnvironments()) {
    const { ours, theirs } = await bothAnswers(torchPython ?? "", torchItself, env);
    assert.equal(ours, theirs);
  }
});
