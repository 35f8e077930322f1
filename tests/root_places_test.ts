import assert from "node:assert/strict";
import { test } from "node:test";
import { findRootPlaces, parseRootOption } from "../lib/root_places.ts";

function placesOf(env: Readonly<Record<string, string>>): Record<string, string> {
  const { places } = findRootPlaces({ homeDir: "/root", env });
  return Object.fromEntries(places.map(({ name, path }) => [name, path]));
}

test("without their variables the caches lie where their programs have them", () => {
  assert.deepEqual(placesOf({}), {
    triton: "/root/.triton/cache",
    flashinfer: "/root/.cache/flashinfer",
    deep_gemm: "/root/.deep_gemm",
    tilelang: "/root/.tilelang/cache",
    torch_extensions: "/root/.cache/torch_extensions",
  });
  const { places, notices } = findRootPlaces({ homeDir: "/root", env: {} });
  assert.ok(places.every(({ isDefault }) => isDefault));
  assert.deepEqual(notices, []);
});

test("each program's own variable says where its cache lies; an empty one says nothing", () => {
  const env = {
    TRITON_CACHE_DIR: "/cache/triton/",
    FLASHINFER_WORKSPACE_BASE: "/cache/fi",
    DG_JIT_CACHE_DIR: "/cache//dg",
    TILELANG_CACHE_DIR: "",
    TORCH_EXTENSIONS_DIR: "/cache/ext",
  };
  assert.deepEqual(placesOf(env), {
    triton: "/cache/triton",
    flashinfer: "/cache/fi/.cache/flashinfer",
    deep_gemm: "/cache/dg",
    tilelang: "/root/.tilelang/cache",
    torch_extensions: "/cache/ext",
  });
});

test("the homes of several programs are honoured", () => {
  const places = placesOf({ TRITON_HOME: "/scratch", XDG_CACHE_HOME: "/scratch/cache" });
  assert.equal(places["triton"], "/scratch/.triton/cache");
  assert.equal(places["torch_extensions"], "/scratch/cache/torch_extensions");
});

test("a variable of another program that is not absolute leaves that cache out, and says so", () => {
  const { places, notices } = findRootPlaces({ homeDir: "/root", env: { TRITON_CACHE_DIR: "here" } });
  assert.ok(!places.some(({ name }) => name === "triton"));
  assert.deepEqual(notices, ['the triton cache is left out as TRITON_CACHE_DIR "here" is not absolute']);
});

test("parseRootOption() reads name=directory", () => {
  assert.deepEqual(parseRootOption("cute_dsl=/cache/a=b/"), {
    name: "cute_dsl",
    path: "/cache/a=b",
    source: "--root",
    isDefault: false,
  });
});

test("parseRootOption() refuses anything else, and says the rule", () => {
  const refused: readonly (readonly [text: string, rule: string])[] = [
    ["/cache/x", "be name=directory"],
    ["=/cache/x", "be name=directory"],
    ["Name=/cache/x", "have a name that matches ^[a-z0-9][a-z0-9_-]{0,31}$"],
    ["../x=/cache/x", "have a name that matches ^[a-z0-9][a-z0-9_-]{0,31}$"],
    ["x=relative", "name an absolute directory"],
    ["x=", "name an absolute directory"],
    ["x=/a\0b", "name an absolute directory"],
    ["x=/a/../b", 'have no ".." in its directory'],
  ];
  for (const [text, message] of refused) {
    assert.throws(() => parseRootOption(text), { name: "RootRule", message }, text);
  }
});
