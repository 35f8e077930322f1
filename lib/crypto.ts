/**
 * SHA-256, and the rest of node:crypto for those who need it: to load that takes Bun 2.5 ms, twice in each load, and Bun has
 * a SHA-256 at hand. Pure.
 */

interface Runtime {
  readonly Bun?: { readonly CryptoHasher: new (algorithm: "sha256") => Sha256 };
  readonly process: { getBuiltinModule(name: "node:crypto"): typeof import("node:crypto") };
}

const runtime = globalThis as unknown as Runtime;

/** Of bytes that come in pieces. */
export interface Sha256 {
  update(data: Uint8Array | string): void;
  /** In lower-case hex; to be asked once. */
  digest(encoding: "hex"): string;
}

export function sha256(): Sha256 {
  return runtime.Bun ? new runtime.Bun.CryptoHasher("sha256") : nodeCrypto().createHash("sha256");
}

/** In lower-case hex. Of a text: of its UTF-8. */
export function sha256Hex(data: Uint8Array | string): string {
  const digest = sha256();
  digest.update(data);
  return digest.digest("hex");
}

export function nodeCrypto(): typeof import("node:crypto") {
  return runtime.process.getBuiltinModule("node:crypto");
}
