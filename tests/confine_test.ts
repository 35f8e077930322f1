import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { readSettings } from "../lib/config.ts";
import { confinePath, pathRules, refuseOverlap } from "../lib/confine.ts";
import { CacheError } from "../lib/errors.ts";
import { realSystem } from "../lib/system/real.ts";

const { fs: files } = realSystem();
let base = "";

before(async () => {
  base = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), "b10-confine-")));
  for (const dir of ["allowed/cache/x", "allowed/a..b", "allowedfoo/cache", "outside/cache", "home"]) {
    await fs.mkdir(path.join(base, dir), { recursive: true });
  }
  await fs.writeFile(path.join(base, "allowed/file"), "");
  const links = {
    "allowed/in": "cache",
    "allowed/out": "../outside",
    "allowed/up": "..",
    "allowed/self": ".",
    "allowed/dangling": "/nowhere/at/all",
    "allowed/chain": "out",
    "allowed/loop": "loop",
    "linked": "allowed",
    "unmounted": "/nowhere/at/all",
    "to_file": "allowed/file",
    "outside/back": "../allowed",
  };
  for (const [name, target] of Object.entries(links)) await fs.symlink(target, path.join(base, name));
});

after(() => fs.rm(base, { recursive: true }));

/** The real path below `base` of `entry`, by a rule that allows what lies below `prefixes`. */
async function confine(
  entry: string,
  { prefixes = ["/allowed"], exactly = [], itself = false }: {
    prefixes?: readonly string[];
    exactly?: readonly string[];
    itself?: boolean;
  } = {},
): Promise<string> {
  const real = await confinePath(files, base + entry, {
    setting: "CACHE_DIR",
    prefixes: prefixes.map((prefix) => base + prefix),
    exactly: exactly.map((place) => base + place),
    ...(itself ? { prefixItself: "allowed" as const } : {}),
  });
  assert.ok(real.startsWith(base), real);
  return real.slice(base.length);
}

function refuses(act: () => Promise<unknown>, message: RegExp): Promise<void> {
  return assert.rejects(act, (error) => {
    assert.ok(error instanceof CacheError);
    assert.equal(error.code, "path_outside_prefix");
    assert.match(error.message, message);
    return true;
  });
}

const accepted: readonly (readonly [string, string])[] = [
  ["/allowed/cache", "/allowed/cache"],
  ["/allowed/cache/x", "/allowed/cache/x"],
  ["/allowed/a..b", "/allowed/a..b"],
  ["/allowed/a..b/..c/d..", "/allowed/a..b/..c/d.."],
  ["/allowed/not/yet/there", "/allowed/not/yet/there"],
  ["/allowed/in", "/allowed/cache"],
  ["/allowed/in/x", "/allowed/cache/x"],
  ["/allowed/in/not/yet", "/allowed/cache/not/yet"],
  ["/allowed/self/self/cache", "/allowed/cache"],
  ["/linked/cache", "/allowed/cache"],
  ["/linked/not/yet", "/allowed/not/yet"],
  ["/outside/back/cache", "/allowed/cache"],
  ["/allowed/out/back/not_yet", "/allowed/not_yet"],
];

test("confinePath() gives the real path of what lies below a prefix, there or not yet", async () => {
  for (const [entry, real] of accepted) assert.equal(await confine(entry), real, entry);
});

const refused: readonly (readonly [string, RegExp])[] = [
  ["/allowed", /CACHE_DIR ".*\/allowed" as it must lie below .*\/allowed;/],
  ["/allowedfoo", /must lie below/],
  ["/allowedfoo/cache", /must lie below/],
  ["/allowedfoo/not/yet", /must lie below/],
  ["/outside/cache", /must lie below/],
  ["/home/not/yet", /must lie below/],
  ["", /must lie below/],
  ["/allowed/self", /\(really ".*\/allowed"\)/],
  ["/linked", /\(really ".*\/allowed"\)/],
  ["/allowed/out", /allowed\/out" \(really ".*\/outside"\) as it must lie below/],
  ["/allowed/out/cache", /\(really ".*\/outside\/cache"\)/],
  ["/allowed/out/not/yet", /\(really ".*\/outside\/not\/yet"\)/],
  ["/allowed/chain/cache", /\(really ".*\/outside\/cache"\)/],
  ["/allowed/up/home", /\(really ".*\/home"\)/],
  ["/allowed/dangling", /symlink to nowhere/],
  ["/allowed/dangling/x/y", /symlink to nowhere/],
  ["/allowed/loop/x", /cannot be resolved/],
  ["/allowed/file/x", /cannot be resolved/],
];

test("confinePath() refuses what really lies elsewhere, a prefix itself, and symlinks to nowhere", async () => {
  for (const [entry, message] of refused) await refuses(() => confine(entry), message);
});

test("confinePath() takes a directory that another pod makes between two looks at it", async () => {
  const place = path.join(base, "allowed/made_meanwhile");
  let looks = 0;
  const realPath = async (name: string) => {
    try {
      return await files.realPath(name);
    } finally {
      if (name === place && ++looks === 1) await fs.mkdir(place);
    }
  };
  const rule = { setting: "CACHE_DIR", prefixes: [path.join(base, "allowed")] };
  assert.equal(await confinePath({ ...files, realPath }, place, rule), place);
  assert.equal(looks, 2);
});

test("confinePath() says which setting, which prefixes, and how to add one", async () => {
  await refuses(
    () => confine("/outside", { prefixes: ["/allowed", "/home"] }),
    /^Cannot use CACHE_DIR "[^"]*\/outside" as it must lie below [^ ]*\/allowed, [^ ]*\/home; choose another directory, or add a prefix to B10_CACHE_ALLOWED_PREFIXES$/,
  );
});

test("confinePath() accepts a prefix itself where the rule says so", async () => {
  assert.equal(await confine("/allowed", { itself: true }), "/allowed");
  assert.equal(await confine("/linked", { itself: true }), "/allowed");
  assert.equal(await confine("/allowed/cache", { itself: true }), "/allowed/cache");
  await refuses(() => confine("/allowedfoo", { itself: true }), /must lie below/);
});

test("confinePath() accepts exactly the listed places, and not what lies below them", async () => {
  const rule = { exactly: ["/outside/cache", "/home/not_yet"] };
  assert.equal(await confine("/outside/cache", rule), "/outside/cache");
  assert.equal(await confine("/home/not_yet", rule), "/home/not_yet");
  assert.equal(await confine("/allowed/out/cache", rule), "/outside/cache");
  await refuses(() => confine("/outside/cache/x", rule), /must lie below/);
  await refuses(() => confine("/outside", rule), /must lie below/);
});

test("confinePath() resolves a prefix that is a symlink", async () => {
  const rule = { prefixes: ["/linked"] };
  assert.equal(await confine("/linked/cache", rule), "/allowed/cache");
  assert.equal(await confine("/allowed/cache", rule), "/allowed/cache");
  await refuses(() => confine("/linked/out", rule), /must lie below/);
});

test("confinePath() passes over a prefix that is not there or cannot be resolved", async () => {
  for (const place of ["/not_there", "/unmounted", "/allowed/loop", "/to_file/x"]) {
    assert.equal(await confine("/allowed/cache", { prefixes: [place, "/allowed"] }), "/allowed/cache");
    assert.equal(await confine("/allowed/cache", { exactly: [place] }), "/allowed/cache");
    await refuses(
      () => confine("/outside", { prefixes: [place, "/allowed"] }),
      /CACHE_DIR .* must lie below/,
    );
  }
  assert.equal(await confine("/not_there/x", { prefixes: ["/not_there"] }), "/not_there/x");
});

test("refuseOverlap() refuses a directory in another, whichever way round, and the same twice", () => {
  const overlap = (a: string, b: string) =>
    refuseOverlap({ setting: "the inductor cache", path: a }, { setting: "B10FS_CACHE_DIR", path: b });
  for (const [a, b] of [["/tmp/a", "/tmp/a"], ["/tmp/a/b", "/tmp/a"], ["/tmp/a", "/tmp/a/b"]] as const) {
    assert.throws(() => overlap(a, b), {
      code: "paths_overlap",
      message:
        `Cannot use the inductor cache "${a}" together with B10FS_CACHE_DIR "${b}" as neither may hold the other`,
    });
  }
  overlap("/tmp/a", "/tmp/ab");
  overlap("/tmp/a", "/cache/a");
});

test("pathRules() has the documented prefixes for each setting, and the operator's own", () => {
  const pod = { homeDir: "/home/app", torchCacheDir: "/var/tmp/torchinductor_app", shareMounted: true };
  const { config } = readSettings({ flags: {}, env: { B10_CACHE_ALLOWED_PREFIXES: "/mnt/ours" }, pod });
  const rules = pathRules(config, pod);
  const caches = ["/tmp", "/cache", "/home/app/.cache", "/bdn/cache", "/mnt/ours"];
  assert.deepEqual(rules, {
    torchCacheDir: {
      setting: "TORCHINDUCTOR_CACHE_DIR",
      prefixes: caches,
      exactly: ["/var/tmp/torchinductor_app"],
    },
    vllmCacheDir: { setting: "VLLM_CACHE_ROOT", prefixes: caches },
    root: { setting: "--root", prefixes: caches },
    transferFile: { setting: "FILE", prefixes: [...caches, "/app"] },
    storeDir: { setting: "B10FS_CACHE_DIR", prefixes: ["/cache", "/tmp", "/home/app/.cache", "/mnt/ours"] },
    workDir: {
      setting: "LOCAL_WORK_DIR",
      prefixes: ["/app", "/tmp", "/cache", "/mnt/ours"],
      prefixItself: "allowed",
    },
  });
});
