import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { resolveSettings } from "../lib/pod.ts";
import { confineRoots, type RootSelection } from "../lib/pod_roots.ts";
import { parseRootOption } from "../lib/root_places.ts";
import type { Host } from "../lib/system.ts";
import { fakeSystem, only } from "./fake_system.ts";
import { realFiles, withDirectory } from "./pods.ts";
import { cacheError } from "./store/examples.ts";

/** The home of a pod whose caches may lie anywhere below it. */
interface Home {
  readonly home: string;
  /** The roots by name, with what the user is told of those that are left out. */
  readonly rootsOf: (
    env?: Record<string, string>,
    options?: { selection?: RootSelection; extra?: readonly string[] },
  ) => Promise<{ dirs: Record<string, string>; paths: Record<string, string>; notices: string[] }>;
}

function withHome(act: (pod: Home) => Promise<void>): Promise<void> {
  return withDirectory((home) =>
    act({
      home,
      rootsOf: async (env = {}, { selection = "all", extra = [] } = {}) => {
        const pod = fakeSystem({
          fs: realFiles,
          env: {
            HOME: home,
            USER: "app",
            TORCHINDUCTOR_CACHE_DIR: `${home}/torch`,
            B10_CACHE_ALLOWED_PREFIXES: home,
            ...env,
          },
          host: only<Host>("host", { homeDir: home, workingDir: home }),
        });
        const notices: string[] = [];
        const roots = await confineRoots(pod, await resolveSettings(pod, {}), selection, {
          extra: extra.map(parseRootOption),
          notice: (text) => notices.push(text),
        });
        return {
          dirs: Object.fromEntries(roots.map(({ name, dir }) => [name, dir])),
          paths: Object.fromEntries(roots.map(({ name, dir, path }) => [name, path ?? dir])),
          notices,
        };
      },
    })
  );
}

test("every cache of a pod lies where its program has it by default; vLLM's, which names the others' files, is last", () =>
  withHome(async ({ home, rootsOf }) => {
    const { dirs, notices } = await rootsOf();
    assert.deepEqual(Object.entries(dirs), [
      ["triton", `${home}/.triton/cache`],
      ["flashinfer", `${home}/.cache/flashinfer`],
      ["deep_gemm", `${home}/.deep_gemm`],
      ["tilelang", `${home}/.tilelang/cache`],
      ["torch_extensions", `${home}/.cache/torch_extensions`],
      ["inductor", `${home}/torch`],
      ["vllm", `${home}/.cache/vllm`],
    ]);
    assert.deepEqual(notices, []);
  }));

test("the default places are allowed though they lie below no prefix; what a variable names must lie below one", () =>
  withHome(async ({ home, rootsOf }) => {
    const env = {
      B10_CACHE_ALLOWED_PREFIXES: `${home}/torch-and-no-more`,
      TORCHINDUCTOR_CACHE_DIR: "/tmp/torch",
    };
    const { dirs } = await rootsOf(env);
    assert.equal(dirs["triton"], `${home}/.triton/cache`);
    const elsewhere = await rootsOf({ ...env, TRITON_CACHE_DIR: "/etc/triton" });
    assert.equal(elsewhere.dirs["triton"], undefined);
    assert.deepEqual(Object.keys(elsewhere.dirs), Object.keys(dirs).filter((name) => name !== "triton"));
    assert.match(
      elsewhere.notices.join(),
      /^the triton cache is left out: Cannot use TRITON_CACHE_DIR "\/etc\/triton" as it must lie below/,
    );
  }));

test("each program's variable leads to its cache", () =>
  withHome(async ({ home, rootsOf }) => {
    const { dirs } = await rootsOf({
      TRITON_CACHE_DIR: `${home}/t`,
      FLASHINFER_WORKSPACE_BASE: `${home}/f`,
      DG_JIT_CACHE_DIR: `${home}/d`,
      TILELANG_CACHE_DIR: `${home}/l`,
      TORCH_EXTENSIONS_DIR: `${home}/e`,
      VLLM_CACHE_ROOT: `${home}/v`,
    });
    assert.deepEqual(dirs, {
      triton: `${home}/t`,
      flashinfer: `${home}/f/.cache/flashinfer`,
      deep_gemm: `${home}/d`,
      tilelang: `${home}/l`,
      torch_extensions: `${home}/e`,
      inductor: `${home}/torch`,
      vllm: `${home}/v`,
    });
  }));

test("a variable of another program that is no path is a notice", () =>
  withHome(async ({ rootsOf }) => {
    const { dirs, notices } = await rootsOf({ DG_JIT_CACHE_DIR: "relative" });
    assert.equal(dirs["deep_gemm"], undefined);
    assert.deepEqual(notices, [
      'the deep_gemm cache is left out as DG_JIT_CACHE_DIR "relative" is not absolute',
    ]);
  }));

test("a setting of ours, and a --root, that lies elsewhere is refused", () =>
  withHome(async ({ home, rootsOf }) => {
    await assert.rejects(
      () => rootsOf({ VLLM_CACHE_ROOT: "/etc/vllm" }),
      cacheError("path_outside_prefix", /VLLM_/),
    );
    await assert.rejects(
      () => rootsOf({ TORCHINDUCTOR_CACHE_DIR: "/etc/torch" }),
      cacheError("path_outside_prefix", /TORCHINDUCTOR_/),
    );
    fs.symlinkSync("/etc", path.join(home, "leads-out"));
    for (const place of ["/etc/kernels", `${home}/leads-out/kernels`]) {
      await assert.rejects(
        () => rootsOf({}, { extra: [`kernels=${place}`] }),
        cacheError("path_outside_prefix", /--root/),
      );
    }
  }));

test("what is not selected is not looked at, however wrong it is", () =>
  withHome(async ({ home, rootsOf }) => {
    const wrong = { VLLM_CACHE_ROOT: "/etc/vllm", TRITON_CACHE_DIR: "/etc/triton" };
    const torch = await rootsOf(wrong, { selection: "torch" });
    assert.deepEqual([torch.dirs, torch.notices], [{ inductor: `${home}/torch` }, []]);
    const vllm = await rootsOf({ TORCHINDUCTOR_CACHE_DIR: "/etc/torch" }, { selection: "vllm" });
    assert.deepEqual(vllm.dirs, { vllm: `${home}/.cache/vllm` });
  }));

test("a --root is one cache more, before the others, and takes the place of one of its name", () =>
  withHome(async ({ home, rootsOf }) => {
    const extra = [`kernels=${home}/k`, `triton=${home}/mine`];
    const { dirs } = await rootsOf({ TRITON_CACHE_DIR: `${home}/t` }, { extra });
    assert.deepEqual(Object.entries(dirs).slice(0, 3), [
      ["kernels", `${home}/k`],
      ["triton", `${home}/mine`],
      ["flashinfer", `${home}/.cache/flashinfer`],
    ]);
    assert.deepEqual((await rootsOf({}, { selection: "vllm", extra })).dirs, {
      kernels: `${home}/k`,
      triton: `${home}/mine`,
      vllm: `${home}/.cache/vllm`,
    });
  }));

test("a cache that lies in another one is a part of that, and is neither saved twice nor lost", () =>
  withHome(async ({ home, rootsOf }) => {
    const nested = await rootsOf({
      TORCHINDUCTOR_CACHE_DIR: `${home}/.cache/vllm/torch`,
      TRITON_CACHE_DIR: `${home}/.cache/vllm/torch/triton`,
    });
    assert.ok(!("inductor" in nested.dirs) && !("triton" in nested.dirs));
    assert.equal(nested.dirs["vllm"], `${home}/.cache/vllm`);
    assert.equal(nested.notices.length, 2);
    assert.match(
      nested.notices.join(),
      new RegExp(`the inductor cache lies in the vllm cache, ${home}/.cache/vllm, `),
    );
    const same = await rootsOf({ TRITON_CACHE_DIR: `${home}/torch` });
    assert.deepEqual([same.dirs["triton"], same.dirs["inductor"]], [`${home}/torch`, undefined]);
    const beside = await rootsOf({ TRITON_CACHE_DIR: `${home}/torch-triton` });
    assert.equal(beside.notices.length, 0);
  }));

test("caches are told apart by their real paths, and known by the ones that their programs have", () =>
  withHome(async ({ home, rootsOf }) => {
    fs.mkdirSync(path.join(home, "disk/torch/triton"), { recursive: true });
    fs.symlinkSync(path.join(home, "disk/torch"), path.join(home, "torch"));
    const { dirs, paths, notices } = await rootsOf({ TRITON_CACHE_DIR: `${home}/disk/torch/triton` });
    assert.deepEqual([dirs["inductor"], paths["inductor"]], [`${home}/disk/torch`, `${home}/torch`]);
    assert.equal(dirs["triton"], undefined);
    assert.equal(notices.length, 1);
  }));
