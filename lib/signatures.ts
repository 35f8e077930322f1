/**
 * Signatures: Ed25519 over what a generation says, and the standard forms of its keys. Pure computation; the files that
 * keys are in are key_files.ts's business. docs/format.md has the signed bytes.
 */
import type { KeyObject } from "node:crypto";
import { nodeCrypto, sha256Hex } from "./crypto.ts";

/** One entry of a seal's list. */
export interface Signature {
  readonly key_id: string;
  /** Base64 of its 64 bytes. */
  readonly signature: string;
}

/** What was signed is signed as one of these, so that none of them passes for the other. */
export type SignedAs = "generation" | "export";

/** What a signature is about: line 1 of a generation, in one store. */
export interface Statement {
  readonly as: SignedAs;
  readonly storeId: string;
  /** The exact bytes of line 1, without its line feed. */
  readonly line: Uint8Array;
}

/** This pod's own key. */
export interface Signer {
  readonly keyId: string;
  readonly sign: (statement: Statement) => Signature;
}

/** Keys of which one has signed whatever counts here. */
export interface TrustedKeys {
  readonly keyIds: readonly string[];
  /** @returns those of `signatures` that hold; of several by one key the first one is judged alone. */
  readonly verified: (statement: Statement, signatures: readonly Signature[]) => readonly Signature[];
}

/** How the generations of a store are signed and judged on this pod. */
export interface Signatures {
  readonly signer?: Signer;
  /** Given: nothing counts that none of these keys has signed. */
  readonly trusted?: TrustedKeys;
}

/** Why a text holds no key, in words that follow "it must". */
export class KeyRefused extends Error {
  override readonly name = "KeyRefused";
}

const seedBytes = 32;
const rawKeyBytes = 32;
const signatureBytes = 64;
const keyIdDigits = 16;

/** What comes before the 32 bytes of the key in its DER (RFC 8410). */
const privateKeyPrefix = Buffer.from("302e020100300506032b657004220420", "hex");
const publicKeyPrefix = Buffer.from("302a300506032b6570032100", "hex");

/** So many keys are trusted at once at most: rotation takes two. */
export const maxTrustedKeys = 64;

/** The bytes that are signed. */
function signedBytes({ as, storeId, line }: Statement): Uint8Array {
  return Buffer.concat([Buffer.from(`b10-compile-cache ${as} v1\n${storeId}\n`), line]);
}

/** @param pem PKCS#8, not encrypted. @throws {KeyRefused} */
export function parsePrivateKey(pem: string): Signer {
  const key = privateKeyOf(pem);
  const keyId = keyIdOf(rawPublicKey(nodeCrypto().createPublicKey(key)));
  return {
    keyId,
    sign: (statement) => ({
      key_id: keyId,
      signature: Buffer.from(nodeCrypto().sign(null, signedBytes(statement), key)).toString("base64"),
    }),
  };
}

function privateKeyOf(pem: string): KeyObject {
  const refuse = (cause?: unknown): never => {
    throw new KeyRefused('hold one Ed25519 key as PKCS#8 PEM, not encrypted ("BEGIN PRIVATE KEY")', {
      cause,
    });
  };
  const [block, ...others] = pem.match(/-----BEGIN [^-]*-----[^-]*-----END [^-]*-----/g) ?? [];
  if (!block?.startsWith("-----BEGIN PRIVATE KEY-----") || others.length > 0) return refuse();
  try {
    const key = nodeCrypto().createPrivateKey(block);
    return key.asymmetricKeyType === "ed25519" ? key : refuse();
  } catch (error) {
    return refuse(error);
  }
}

/**
 * Public keys: SPKI PEM blocks, or a line of base64 each, of the key's SPKI DER or of its 32 bytes alone. What follows a
 * "#" is a comment.
 * @throws {KeyRefused} where one is no Ed25519 key, and where there is none.
 */
export function parseTrustedKeys(text: string): TrustedKeys {
  const plain = text.replaceAll(/#.*/g, "");
  const pem = /-----BEGIN PUBLIC KEY-----([^-]*)-----END PUBLIC KEY-----/g;
  const encoded = [
    ...[...plain.matchAll(pem)].map(([, body = ""]) => body.replaceAll(/\s/g, "")),
    ...plain.replaceAll(pem, "\n").split("\n").map((line) => line.trim()).filter((line) => line !== ""),
  ];
  const keys = new Map(encoded.map((body) => publicKeyOf(body)));
  if (keys.size === 0 || keys.size > maxTrustedKeys) {
    throw new KeyRefused(`hold at least one key and at most ${maxTrustedKeys}`);
  }
  return {
    keyIds: [...keys.keys()],
    verified: (statement, signatures) => {
      const bytes = signedBytes(statement);
      const judged = new Set<string>();
      return signatures.filter(({ key_id, signature }) => {
        const key = keys.get(key_id);
        if (key === undefined || judged.has(key_id)) return false;
        // Nobody signs twice with one key: a list of wrong signatures costs no more than one.
        judged.add(key_id);
        const decoded = Buffer.from(signature, "base64");
        return decoded.length === signatureBytes && decoded.toString("base64") === signature &&
          nodeCrypto().verify(null, bytes, key, decoded);
      });
    },
  };
}

function publicKeyOf(body: string): [keyId: string, key: KeyObject] {
  const bytes = Buffer.from(body, "base64");
  const der = bytes.length === rawKeyBytes ? Buffer.concat([publicKeyPrefix, bytes]) : bytes;
  const isKey = bytes.toString("base64") === body && der.length === publicKeyPrefix.length + rawKeyBytes &&
    der.subarray(0, publicKeyPrefix.length).equals(publicKeyPrefix);
  if (!isKey) {
    // No more of it: it may be a private key.
    throw new KeyRefused(
      'hold public Ed25519 keys alone, as PEM ("BEGIN PUBLIC KEY") or a line of base64 each',
    );
  }
  return [
    keyIdOf(der.subarray(publicKeyPrefix.length)),
    nodeCrypto().createPublicKey({ key: der, format: "der", type: "spki" }),
  ];
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return Buffer.from(key.export({ type: "spki", format: "der" })).subarray(publicKeyPrefix.length);
}

/** The first 64 bits of the SHA-256 of the key's 32 bytes. */
function keyIdOf(rawKey: Uint8Array): string {
  return sha256Hex(rawKey).slice(0, keyIdDigits);
}

/** The two halves of a key, as the files that keep them. */
export interface KeyPair {
  readonly keyId: string;
  readonly privateFile: string;
  readonly publicFile: string;
}

/** @param seed 32 random bytes, hex. */
export function keyPairOf(seed: string): KeyPair {
  const bytes = Buffer.from(seed, "hex");
  if (bytes.length !== seedBytes) throw new Error(`A key is made of ${seedBytes} bytes, not ${bytes.length}`);
  const privateFile = pemOf("PRIVATE KEY", Buffer.concat([privateKeyPrefix, bytes]));
  const raw = rawPublicKey(nodeCrypto().createPublicKey(nodeCrypto().createPrivateKey(privateFile)));
  const keyId = keyIdOf(raw);
  const publicPem = pemOf("PUBLIC KEY", Buffer.concat([publicKeyPrefix, raw]));
  return { keyId, privateFile, publicFile: `# key id ${keyId}\n${publicPem}` };
}

function pemOf(label: string, der: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${Buffer.from(der).toString("base64")}\n-----END ${label}-----\n`;
}
