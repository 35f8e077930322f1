/** Every early return, and what lies between them: the same calls for both packages. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Call, Place, Scenario, Step } from "./scenario.ts";

const load: Call = ["load_compile_cache"];
const save: Call = ["save_compile_cache"];
const clear: Call = ["clear_local_cache"];
const info: Call = ["get_cache_info"];
const list: Call = ["list_available_caches"];

function call(...calls: readonly Call[]): Pick<Step, "calls"> {
  return { calls: () => calls };
}

function write(dir: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(dir, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
    // Long enough ago that no save waits to see whether its writer is done.
    fs.utimesSync(file, 1_700_000_000, 1_700_000_000);
  }
}

const cache = { "fxgraph/aa/key/entry": "graph", "aa/caa.py": "kernel", "aa/caa.so": "code" };

function writeCache({ torchDir }: Place): void {
  write(torchDir, cache);
}

/** The files of torch's directory; "absent" where there is none. */
function localFiles({ torchDir }: Place): string {
  if (!fs.existsSync(torchDir)) return "absent";
  const names = fs.readdirSync(torchDir, { recursive: true, encoding: "utf8" }).sort();
  return names.filter((name) => fs.statSync(path.join(torchDir, name)).isFile()).join(" ") || "empty";
}

const saved: Step = { prepare: writeCache, ...call(save) };

function emptyPod(place: Place): void {
  fs.rmSync(place.torchDir, { recursive: true, force: true });
}

/** Replaces every larger file of the share by its first half. */
function truncateShare({ storeDir }: Place): void {
  if (!fs.existsSync(storeDir)) return;
  for (const name of fs.readdirSync(storeDir, { recursive: true, encoding: "utf8" })) {
    const file = path.join(storeDir, name);
    if (!/\.(gz|zst)$/.test(name) || !fs.statSync(file).isFile()) continue;
    fs.truncateSync(file, Math.floor(fs.statSync(file).size / 2));
  }
}

/** A setting that both packages judge: what load and save come to with it. */
function setting(variable: string, value: string | ((place: Place) => string), what: string): Scenario {
  return {
    name: `${variable} ${what}`,
    steps: [{
      prepare: writeCache,
      env: (place) => ({ [variable]: typeof value === "string" ? value : value(place) }),
      calls: () => [save, load],
    }],
  };
}

export const scenarios: readonly Scenario[] = [
  { name: "the public names, their signatures and values", steps: [call(["surface"])] },
  { name: "the logger", steps: [call(["logger"])] },

  // Nothing there.
  { name: "load from an empty store", steps: [{ ...call(load), look: localFiles }] },
  { name: "save without a local directory", steps: [call(save)] },
  {
    name: "save an empty local directory",
    steps: [{ prepare: ({ torchDir }) => fs.mkdirSync(torchDir), ...call(save) }],
  },
  {
    name: "the share is not mounted",
    steps: [{
      prepare: writeCache,
      env: ({ storeDir }) => ({ B10FS_CACHE_DIR: `${storeDir}/not/there` }),
      calls: () => [load, save],
    }],
  },

  // The main job.
  { name: "save, and save again", steps: [saved, call(save)] },
  {
    name: "load on a new pod, and load again",
    steps: [saved, { prepare: emptyPod, ...call(load, load), look: localFiles }],
  },
  {
    name: "load where another file lies already",
    steps: [saved, {
      prepare: (place) => {
        emptyPod(place);
        write(place.torchDir, { "stray": "mine" });
      },
      ...call(load),
      look: localFiles,
    }],
  },
  {
    name: "save after more was compiled",
    steps: [saved, { prepare: ({ torchDir }) => write(torchDir, { "bb/later.py": "later" }), ...call(save) }],
  },
  {
    name: "the stored cache is damaged: load, then save",
    steps: [saved, {
      prepare: (place) => {
        truncateShare(place);
        emptyPod(place);
      },
      ...call(load),
    }, {
      prepare: writeCache,
      ...call(save),
    }, {
      prepare: emptyPod,
      ...call(load),
    }],
  },

  // Switched off.
  {
    name: "BASETEN_FS_ENABLED is 0",
    steps: [{
      prepare: writeCache,
      env: () => ({ BASETEN_FS_ENABLED: "0" }),
      ...call(load, save, info, list),
    }],
  },
  {
    name: "BASETEN_FS_ENABLED is not set",
    steps: [{ prepare: writeCache, env: () => ({ BASETEN_FS_ENABLED: null }), ...call(save, load) }],
  },
  setting("BASETEN_FS_ENABLED", "maybe", "is neither"),

  // Paths.
  setting("TORCHINDUCTOR_CACHE_DIR", "/etc/torch", "lies outside"),
  setting("TORCHINDUCTOR_CACHE_DIR", "/tmpfoo/torch", "only begins like an allowed prefix"),
  setting("TORCHINDUCTOR_CACHE_DIR", ({ torchDir }) => `${torchDir}/../../../etc`, 'has ".."'),
  {
    name: 'TORCHINDUCTOR_CACHE_DIR has a name with two dots, such as "a..b"',
    steps: [{
      prepare: ({ base }) => write(path.join(base, "a..b"), cache),
      env: ({ base }) => ({ TORCHINDUCTOR_CACHE_DIR: path.join(base, "a..b") }),
      calls: () => [save],
    }],
  },
  setting("B10FS_CACHE_DIR", "/etc/store", "lies outside"),
  setting("B10FS_CACHE_DIR", ({ base }) => path.join(base, "store"), "lies below /tmp"),
  setting("LOCAL_WORK_DIR", "/etc", "lies outside"),
  setting("LOCAL_WORK_DIR", ({ base }) => base, "lies below /tmp"),
  setting("LOCAL_WORK_DIR", ({ workDir }) => path.join(workDir, "absent"), "is not there"),

  // Numbers.
  {
    name: "MAX_CACHE_SIZE_MB is no number",
    isAboutImport: true,
    steps: [{ prepare: writeCache, env: () => ({ MAX_CACHE_SIZE_MB: "abc" }), ...call(load, save, clear) }],
  },
  setting("MAX_CONCURRENT_SAVES", "abc", "is no number"),
  setting("CLEANUP_LOCK_TIMEOUT_SECONDS", "abc", "is no number"),
  setting("CLEANUP_INCOMPLETE_TIMEOUT_SECONDS", "abc", "is no number"),
  setting("MIN_B10FS_SPACE_MB", "abc", "is no number"),
  {
    name: "MAX_CONCURRENT_SAVES is above its cap",
    steps: [{
      prepare: writeCache,
      // So that no disk has the room for a hundred caches that b10-transfer demands.
      env: () => ({
        MAX_CONCURRENT_SAVES: "5000",
        MAX_CACHE_SIZE_MB: "999999",
        MAX_CACHE_SIZE_CAP_MB: "999999",
      }),
      calls: () => [save, load],
    }],
  },
  {
    name: "the cache is larger than MAX_CACHE_SIZE_MB",
    steps: [{
      prepare: ({ torchDir }) => write(torchDir, { big: noise(2_000_000) }),
      env: () => ({ MAX_CACHE_SIZE_MB: "1" }),
      calls: () => [save, load],
    }],
  },
  {
    name: "no setting for free space: the defaults",
    steps: [{
      prepare: writeCache,
      env: () => ({ MIN_B10FS_SPACE_MB: null, MIN_LOCAL_SPACE_MB: null, MAX_CONCURRENT_SAVES: null }),
      calls: () => [save],
    }],
  },
  {
    name: "more free space is demanded than there is",
    steps: [{
      prepare: writeCache,
      env: () => ({ MIN_B10FS_SPACE_MB: "999999999" }),
      calls: () => [save],
    }],
  },

  // Clear.
  { name: "clear what is not there", steps: [{ ...call(clear), look: localFiles }] },
  { name: "clear a cache", steps: [{ prepare: writeCache, ...call(clear), look: localFiles }] },
  {
    name: "clear outside the allowed prefixes",
    steps: [{ env: () => ({ TORCHINDUCTOR_CACHE_DIR: "/etc/torch" }), calls: () => [clear] }],
  },

  // Information.
  { name: "information on an empty store", steps: [call(info, list)] },
  { name: "information with a cache here and there", steps: [saved, call(info, list)] },
  {
    name: "information with a bad path",
    steps: [{ env: () => ({ B10FS_CACHE_DIR: "/etc/store" }), calls: () => [info, list] }],
  },

  // transfer().
  {
    name: "transfer a file into a new directory, over an old file, and one that is not there",
    steps: [{
      prepare: ({ base }) => write(base, { source: "new content", "old": "old" }),
      calls: ({ base }) => [
        ["transfer", path.join(base, "source"), path.join(base, "new/dir/target")],
        ["transfer", path.join(base, "source"), path.join(base, "old")],
        ["transfer", path.join(base, "absent"), path.join(base, "old")],
        ["transfer", base, path.join(base, "copy of a directory")],
      ],
      look: ({ base }) =>
        ["new/dir/target", "old", "copy of a directory"].map((name) =>
          fs.existsSync(path.join(base, name)) ? fs.readFileSync(path.join(base, name), "utf8") : "absent"
        ).join(", "),
    }],
  },

  {
    name: "wrong arguments",
    steps: [call(
      ["load_compile_cache", "unexpected"],
      ["save_compile_cache", "unexpected"],
      ["clear_local_cache", "unexpected"],
      ["transfer", "only one"],
    )],
  },

  // vLLM.
  {
    name: "save_vllm_compile_cache() and no server in time",
    isAboutImport: true,
    steps: [{
      env: ({ port, torchDir }) => ({
        VLLM_CACHE_ROOT: torchDir,
        B10_TRANSFER_VLLM_URL: `http://127.0.0.1:${port}/v1/models`,
        B10_TRANSFER_TIMEOUT_S: "1",
        B10_TRANSFER_INTERVAL_S: "0.2",
      }),
      calls: () => [["save_vllm_compile_cache"]],
    }],
  },
  {
    name: "save_vllm_compile_cache() and a ready server: it saves, and the next pod loads",
    isAboutImport: true,
    steps: [{
      prepare: writeCache,
      env: ({ port, torchDir }) => ({
        VLLM_CACHE_ROOT: torchDir,
        TORCHINDUCTOR_CACHE_DIR: null,
        B10_TRANSFER_VLLM_URL: `http://127.0.0.1:${port}/v1/models`,
        B10_TRANSFER_INTERVAL_S: "0.2",
      }),
      calls: ({ port }) => [["save_vllm_with_server", String(port)]],
    }, {
      prepare: emptyPod,
      env: ({ port, torchDir }) => ({
        VLLM_CACHE_ROOT: torchDir,
        TORCHINDUCTOR_CACHE_DIR: null,
        B10_TRANSFER_VLLM_URL: `http://127.0.0.1:${port}/v1/models`,
        B10_TRANSFER_INTERVAL_S: "0.2",
      }),
      calls: ({ port }) => [["save_vllm_with_server", String(port)]],
      look: localFiles,
    }],
  },
];

/** Bytes that no archive makes small. */
function noise(length: number): Uint8Array {
  const perCall = 65_536;
  const parts = Array.from(
    { length: Math.ceil(length / perCall) },
    () => crypto.getRandomValues(new Uint8Array(perCall)),
  );
  return Buffer.concat(parts);
}
