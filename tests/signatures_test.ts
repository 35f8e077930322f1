import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { canonicalJson } from "../lib/canonical_json.ts";
import {
  encodeGeneration,
  type Manifest,
  maxSignatures,
  parseGeneration,
  parseStatement,
} from "../lib/manifest.ts";
import {
  keyPairOf,
  KeyRefused,
  maxTrustedKeys,
  parsePrivateKey,
  parseTrustedKeys,
  type Signature,
  type Statement,
} from "../lib/signatures.ts";
import { exampleKey, exampleManifest, exampleStoreId, sealed } from "./store/examples.ts";

/** RFC 8032, section 7.1, test 1: the secret key and the public one. */
const seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const publicHex = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const pair = keyPairOf(seed);
const other = keyPairOf("11".repeat(32));

const statement: Statement = { as: "generation", storeId: exampleStoreId, line: Buffer.from('{"n":7}') };
const signer = parsePrivateKey(pair.privateFile);
const trusted = parseTrustedKeys(pair.publicFile);

const bodyOf = (pem: string) => pem.replaceAll(/#.*|-----.*-----|\s/g, "");

test("a key pair is PKCS#8 and SPKI PEM; its ID is that of its public bytes", () => {
  assert.equal(pair.keyId, "21fe31dfa154a261");
  assert.equal(
    Buffer.from(bodyOf(pair.publicFile), "base64").toString("hex"),
    `302a300506032b6570032100${publicHex}`,
  );
  assert.match(pair.privateFile, /^-----BEGIN PRIVATE KEY-----\n\S+\n-----END PRIVATE KEY-----\n$/);
  assert.match(pair.publicFile, /^# key id 21fe31dfa154a261\n-----BEGIN PUBLIC KEY-----\n/);
  assert.equal(signer.keyId, pair.keyId);
  assert.deepEqual(trusted.keyIds, [pair.keyId]);
});

test("the signed bytes are a domain, the store's ID, and line 1", () => {
  // Made with `openssl pkeyutl -sign -rawin` of the bytes that docs/format.md describes.
  assert.deepEqual(signer.sign(statement), {
    key_id: "21fe31dfa154a261",
    signature: "DdXUmjU3HSwkZbpffFGkLrvYHXpD5/sNMReFPsYJkDnaCRm3qyApwmNRTZSTl+VuMO3rCrsCSy8qqLBlgOt+CA==",
  });
});

test("a signature counts for exactly what was signed, by a key that is trusted", () => {
  const signature = signer.sign(statement);
  assert.deepEqual(trusted.verified(statement, [signature]), [signature]);
  const changed: readonly Statement[] = [
    { ...statement, as: "export" },
    { ...statement, storeId: "f".repeat(32) },
    { ...statement, line: Buffer.from('{"n":8}') },
  ];
  for (const one of changed) assert.deepEqual(trusted.verified(one, [signature]), []);
  const bytes = Buffer.from(signature.signature, "base64");
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    const wrong = { ...signature, signature: flipped.toString("base64") };
    assert.deepEqual(trusted.verified(statement, [wrong]), [], `byte ${at}`);
  }
  const texts = [
    "",
    "AAAA",
    signature.signature.slice(0, -2),
    ` ${signature.signature}`,
    `${signature.signature}AAAA`,
  ];
  for (const text of texts) {
    assert.deepEqual(trusted.verified(statement, [{ ...signature, signature: text }]), []);
  }
});

test("another key's signature counts for nothing, under its own ID and under a trusted one", () => {
  const foreign = parsePrivateKey(other.privateFile).sign(statement);
  assert.deepEqual(trusted.verified(statement, [foreign]), []);
  assert.deepEqual(trusted.verified(statement, [{ ...foreign, key_id: pair.keyId }]), []);
  const both = [foreign, signer.sign(statement)];
  assert.deepEqual(trusted.verified(statement, both).map(({ key_id }) => key_id), [pair.keyId]);
});

test("of several signatures by one key the first is judged alone: wrong ones in a row cost no more than one", () => {
  const right = signer.sign(statement);
  const wrong = { ...right, signature: Buffer.alloc(64).toString("base64") };
  assert.deepEqual(trusted.verified(statement, [right, wrong, right]), [right]);
  assert.deepEqual(trusted.verified(statement, [wrong, right]), []);
});

test("a seal holds so many signatures at most: more are no seal, whoever is trusted", () => {
  const manifest = exampleManifest();
  const line = Buffer.from(canonicalJson(manifest));
  const right = signer.sign({ as: "generation", storeId: manifest.store_id, line });
  const others = (count: number) => Array.from({ length: count }, () => ({ key_id: "0", signature: "" }));
  const parsed = (count: number) => {
    const bytes = sealedBy(manifest, [...others(count - 1), right]);
    return [undefined, trusted].map((keys) => parseGeneration(bytes, expected, keys));
  };
  assert.deepEqual(parsed(maxSignatures).map(({ kind }) => kind), ["valid", "valid"]);
  const problem = "its second line is not a seal";
  assert.deepEqual(parsed(maxSignatures + 1), [{ kind: "invalid", problem }, { kind: "invalid", problem }]);
});

/** The bytes of a generation file with these signatures, whoever made them. */
function sealedBy(manifest: Manifest, signatures: readonly Signature[]): Uint8Array {
  const line = canonicalJson(manifest);
  const sha256 = createHash("sha256").update(line).digest("hex");
  const seal = canonicalJson({ sha256, signatures: signatures.map((one) => ({ ...one })) });
  return Buffer.from(`${line}\n${seal}\n`);
}

test("trusted keys: PEM blocks, lines of base64, comments, in any mixture", () => {
  const raw = Buffer.from(publicHex, "hex").toString("base64");
  for (
    const text of [
      pair.publicFile,
      pair.publicFile.replaceAll("\n", "\r\n"),
      bodyOf(pair.publicFile),
      raw,
      `# ours\n\n  ${raw} # since May\n`,
      `${pair.publicFile}${raw}\n`,
    ]
  ) assert.deepEqual(parseTrustedKeys(text).keyIds, [pair.keyId], text);
  const two = parseTrustedKeys(`${raw}\n${other.publicFile}`);
  assert.deepEqual(two.keyIds.toSorted(), [pair.keyId, other.keyId].toSorted());
  const foreign = parsePrivateKey(other.privateFile).sign(statement);
  assert.deepEqual(two.verified(statement, [foreign]), [foreign]);
});

test("what holds no key is refused, and not shown", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const rsaPublic = rsa.publicKey.export({ type: "spki", format: "pem" }).toString();
  const publicRule =
    /^hold public Ed25519 keys alone, as PEM \("BEGIN PUBLIC KEY"\) or a line of base64 each$/;
  for (
    const text of [
      "garbage",
      pair.privateFile,
      bodyOf(pair.privateFile),
      rsaPublic,
      `${pair.publicFile}garbage`,
      pair.publicFile.replace("MCow", "MCox"),
      pair.publicFile.replace("-----END PUBLIC KEY-----", ""),
    ]
  ) assert.throws(() => parseTrustedKeys(text), { name: "KeyRefused", message: publicRule }, text);
  for (const text of ["", "# nothing\n"]) {
    assert.throws(() => parseTrustedKeys(text), {
      message: `hold at least one key and at most ${maxTrustedKeys}`,
    });
  }
  const many = Array.from(
    { length: maxTrustedKeys + 1 },
    (_, at) => keyPairOf((at + 1).toString(16).padStart(64, "0")).publicFile,
  );
  assert.throws(() => parseTrustedKeys(many.join("")), KeyRefused);
  assert.equal(parseTrustedKeys(many.slice(1).join("")).keyIds.length, maxTrustedKeys);

  const privateRule = /^hold one Ed25519 key as PKCS#8 PEM, not encrypted \("BEGIN PRIVATE KEY"\)$/;
  const rsaPrivate = rsa.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const encrypted = generateKeyPairSync("ed25519").privateKey
    .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "p" }).toString();
  for (
    const text of [
      "",
      "garbage",
      pair.publicFile,
      rsaPrivate,
      encrypted,
      `${pair.privateFile}${other.privateFile}`,
      pair.privateFile.replace("MC4C", "MC4D"),
    ]
  ) assert.throws(() => parsePrivateKey(text), { name: "KeyRefused", message: privateRule }, text);
});

test("a key that another tool made works", () => {
  const made = generateKeyPairSync("ed25519");
  const own = parsePrivateKey(made.privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  const list = parseTrustedKeys(made.publicKey.export({ type: "spki", format: "pem" }).toString());
  assert.deepEqual(list.keyIds, [own.keyId]);
  assert.equal(list.verified(statement, [own.sign(statement)]).length, 1);
});

const expected = { storeId: exampleStoreId, key: exampleKey, n: 7 };

test("a generation file that is signed parses with and without demand, and says by whom", () => {
  const { bytes, sha256 } = encodeGeneration(exampleManifest(), { signer });
  const generation = { manifest: exampleManifest(), sha256, signedBy: [pair.keyId] };
  assert.deepEqual(parseGeneration(bytes, expected), { kind: "valid", generation });
  assert.deepEqual(parseGeneration(bytes, expected, trusted), { kind: "valid", generation });
  assert.equal(sha256, encodeGeneration(exampleManifest()).sha256, "line 1 is the same");
});

function problemOf(bytes: Uint8Array): [kind: string, problem: string] {
  const parsed = parseGeneration(bytes, expected, trusted);
  return [parsed.kind, parsed.kind === "valid" ? "" : parsed.problem];
}

test("where signatures are demanded a generation without one, or with a wrong one, is untrusted, and says why", () => {
  const unsigned = encodeGeneration(exampleManifest()).bytes;
  assert.deepEqual(problemOf(unsigned), ["untrusted", "it is not signed"]);
  const foreign = encodeGeneration(exampleManifest(), { signer: parsePrivateKey(other.privateFile) }).bytes;
  assert.deepEqual(problemOf(foreign), [
    "untrusted",
    `it is signed by "${other.keyId}", which B10_CACHE_TRUSTED_KEYS_FILE does not have`,
  ]);
  const liar = {
    keyId: pair.keyId,
    sign: (one: Statement) => ({ ...parsePrivateKey(other.privateFile).sign(one), key_id: pair.keyId }),
  };
  const wrong = ["untrusted", `its signature by key ${pair.keyId} is wrong`];
  assert.deepEqual(problemOf(encodeGeneration(exampleManifest(), { signer: liar }).bytes), wrong);
  // The seal of another line, under this one.
  const [, seal = ""] = Buffer.from(encodeGeneration(exampleManifest({ cold_start: 1 }), { signer }).bytes)
    .toString().split("\n");
  const { signatures } = JSON.parse(seal);
  const replaced = encodeGeneration(exampleManifest(), {
    signer: { keyId: pair.keyId, sign: () => signatures[0] },
  });
  assert.deepEqual(problemOf(replaced.bytes), wrong);
  const exported = encodeGeneration(exampleManifest(), { signer, as: "export" }).bytes;
  assert.deepEqual(problemOf(exported), wrong);
});

test("what is signed for another number, key or store is invalid here", () => {
  for (
    const [overrides, problem] of [
      [{ n: 8 }, "it says it is number 8"],
      [{ key: "other" }, 'it belongs to another key, "other"'],
      [{ store_id: "f".repeat(32) }, `it belongs to another store, ${"f".repeat(32)}`],
    ] as const
  ) {
    const { bytes } = encodeGeneration(exampleManifest(overrides), { signer });
    assert.deepEqual(problemOf(bytes), ["invalid", problem]);
  }
});

test("a newer format that nobody trusted has written stops nobody", () => {
  const newer = sealed('{"format":2}');
  assert.equal(problemOf(newer)[0], "invalid");
  assert.throws(() => parseGeneration(newer, expected), { code: "store_unsupported" });
});

test("a generation passes for no exported cache, and the reverse", () => {
  const signed = encodeGeneration(exampleManifest(), { signer }).bytes;
  assert.equal(parseStatement(signed, { what: "it", as: "export", trusted }).kind, "untrusted");
  assert.equal(parseStatement(signed, { what: "it", as: "generation", trusted }).kind, "valid");
});
