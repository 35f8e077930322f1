/** Small, whole things that a store holds. */
import { createHash } from "node:crypto";
import { CacheError, type ErrorCode } from "../../lib/errors.ts";
import { type CacheKey, parseKey } from "../../lib/key.ts";
import type { Layer, Manifest } from "../../lib/manifest.ts";

export const exampleKey: CacheKey = parseKey("llama-8b", "B10_CACHE_KEY");
export const exampleStoreId = "00112233445566778899aabbccddeeff";

/** The name of a layer; another one for each `digit`. */
export function exampleLayerName(digit: string): string {
  return `${digit.repeat(64)}-${digit.repeat(32)}.tar.zst`;
}

export function exampleLayer(overrides: Partial<Layer> = {}): Layer {
  return {
    name: exampleLayerName("a"),
    bytes: 1300,
    index: { offset: 1000, bytes: 300, sha256: "b".repeat(64) },
    files: 3,
    raw_bytes: 5120,
    ...overrides,
  };
}

export function exampleManifest(overrides: Partial<Manifest> = {}): Manifest {
  return {
    format: 1,
    store_id: exampleStoreId,
    key: exampleKey,
    environment: { accelerator: "cuda", devices: ["NVIDIA H100 80GB HBM3"], cpu_isa: null },
    n: 7,
    parent: { n: 5, sha256: "c".repeat(64) },
    nonce: "d".repeat(32),
    created_at: "2026-01-02T03:04:05.678Z",
    written_by: "b10-compile-cache 0.1.0",
    roots: { inductor: { path: "/tmp/torchinductor_root" } },
    layers: [exampleLayer()],
    condemned: [exampleLayerName("e")],
    cold_start: 61.5,
    ...overrides,
  };
}

/** A generation file with any first line, and the seal that is right for it. */
export function sealed(firstLine: string | Uint8Array): Uint8Array {
  const sha256 = createHash("sha256").update(firstLine).digest("hex");
  return Buffer.concat([
    typeof firstLine === "string" ? Buffer.from(firstLine) : firstLine,
    Buffer.from(`\n{"sha256":"${sha256}","signatures":[]}\n`),
  ]);
}

/** For assert.throws and assert.rejects: a CacheError with this code, and this in its message. */
export function cacheError(code: ErrorCode, message = /(?:)/): (error: unknown) => boolean {
  return (error) => error instanceof CacheError && error.code === code && message.test(error.message);
}

/** An error as node:fs throws it. */
export function failure(code: string): Error {
  return Object.assign(new Error(`${code}: this test fails it`), { code });
}
