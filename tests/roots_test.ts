import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isIndexLike,
  isLeftOutDirectory,
  isLeftOutFile,
  rootNamePattern,
  stagingPrefix,
} from "../lib/roots.ts";

const directories: readonly (readonly [string, boolean])[] = [
  ["locks", true],
  ["precompiled_headers", true],
  ["__pycache__", true],
  ["tmp.pid_12_3f1a", true], // Triton
  [`${stagingPrefix}staging-1f`, true],
  ["fxgraph", false],
  ["aotautograd", false],
  ["triton", false],
  ["c3", false],
  ["cache", false],
  ["tmp", false],
  ["tmpxyz", false],
  ["a.tmp.b", false],
  ["blocks", false],
  ["locks2", false],
  ["b10-x", false],
];

const files: readonly (readonly [string, boolean])[] = [
  ["fxgraph.lock", true],
  [".lock", true],
  ["model.1234.tmp", true], // vLLM's unfinished model
  [".12.139872.tmp", true], // Inductor's unfinished write
  ["gpu_p2p_access_cache_for_0,1,2,3.json", true],
  ["CACHEDIR.TAG", true],
  ["model", false],
  ["kernel.so", false],
  ["c3abc.py", false],
  ["a.best_config", false],
  ["__grp__kernel.json", false],
  ["vllm_compile_cache.py", false],
  ["artifact_compile_range_1_8192_subgraph_0", false],
  ["cache_key_factors.json", false],
  ["computation_graph.py", false],
  ["lock", false],
  ["kernel.lock.so", false],
  ["tmp", false],
  ["gpu_p2p_access_cache.json", false],
];

const indexLike: readonly (readonly [string, boolean])[] = [
  ["__grp__triton_poi_fused_0.json", true],
  ["vllm_compile_cache.py", true],
  ["model", true],
  ["triton_poi_fused_0.json", false],
  ["x__grp__y.json", false],
  ["__grp__y.json.bak", false],
  ["model.bin", false],
  ["modelinfo", false],
  ["my_vllm_compile_cache.py", false],
  ["cache_key_factors.json", false],
];

test("isLeftOutDirectory() leaves out locks, unfinished work, and what is made again", () => {
  for (const [name, leftOut] of directories) assert.equal(isLeftOutDirectory(name), leftOut, name);
});

test("isLeftOutFile() leaves out locks, unfinished writes and this host's topology", () => {
  for (const [name, leftOut] of files) assert.equal(isLeftOutFile(name), leftOut, name);
});

test("isIndexLike() knows the files that promise others", () => {
  for (const [name, last] of indexLike) assert.equal(isIndexLike(name), last, name);
});

test("no index-like file is left out", () => {
  for (const [name, last] of indexLike) if (last) assert.equal(isLeftOutFile(name), false, name);
});

test("rootNamePattern accepts the roots' own names, and no path", () => {
  for (const name of ["inductor", "vllm", "a_b-1"]) assert.match(name, rootNamePattern);
  for (const name of ["", ".", "..", "A", "a/b", "-a", "_a", "a\n", "x".repeat(33)]) {
    assert.doesNotMatch(name, rootNamePattern, name);
  }
});
