/**
 * What a generation claims: its schema, its bytes, and the check of both. Pure but for the digest.
 *
 * A generation file is two lines. Line 1 is the manifest, one line of JSON. Line 2 is the seal: the SHA-256 of the
 * exact bytes of line 1, and signatures. Readers keep the bytes they read; nobody re-serialises what was sealed.
 */
import { sha256Hex } from "./crypto.ts";
import * as v from "valibot";
import { canonicalJson } from "./canonical_json.ts";
import { quoteShort as quote } from "./entry_rules.ts";
import { CacheError } from "./errors.ts";
import { shownText } from "./issue.ts";
import { isDense } from "./json_density.ts";
import type { CacheKey } from "./key.ts";
import { rootNamePattern } from "./roots.ts";
import type { SignedAs, Signer, TrustedKeys } from "./signatures.ts";

export const formatVersion = 1;

/** A generation's number is written with this many digits in its file's name. */
export const maxGenerationNumber = 9_999_999_999;

/** A generation file is a few kilobytes; 4 MiB would name 10,000 layers. JSON can take thirty times its bytes in memory. */
export const maxGenerationBytes = 4 * 1024 * 1024;

const sha256Schema = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const nonceHex = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const byteCount = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const generationNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(maxGenerationNumber));

/** So many names are a megabyte. A cache has some dozen layers, as many small ones are compacted into one. */
const maxNamedLayers = 10_000;

const layerNamePattern = /^[0-9a-f]{64}-[0-9a-f]{32}\.tar\.zst$/;

export const layerName = v.pipe(v.string(), v.regex(layerNamePattern));

/** What a layer's file may be called. */
export function isLayerName(name: string): boolean {
  return layerNamePattern.test(name);
}

const layerSchema = v.strictObject({
  /** The file's name below layers/: the SHA-256 of its bytes, and a nonce that no other upload has. */
  name: layerName,
  bytes: byteCount,
  /** Where the skippable frame that holds the index lies in the file, header included, and its digest. */
  index: v.strictObject({ offset: byteCount, bytes: byteCount, sha256: sha256Schema }),
  files: byteCount,
  /** The files' sizes together, uncompressed; files with equal content count each. */
  raw_bytes: byteCount,
  /** For a compacted layer: the names of those it stands for. */
  replaces: v.exactOptional(v.array(layerName)),
});

const fact = v.union([v.string(), v.number(), v.boolean(), v.null(), v.array(v.string())]);

const manifestSchema = v.strictObject({
  format: v.literal(formatVersion),
  store_id: nonceHex,
  key: v.string(),
  /** What the pod that saved was: the key is the digest of it. */
  environment: v.record(v.string(), fact),
  n: generationNumber,
  /** The generation that this one grew from, and the SHA-256 of its line 1. */
  parent: v.nullable(v.strictObject({ n: generationNumber, sha256: sha256Schema })),
  nonce: nonceHex,
  /** ISO 8601, UTC. For people: no decision hangs on it. */
  created_at: v.pipe(v.string(), v.isoTimestamp()),
  written_by: v.string(),
  /** Each root's absolute path on the pod that first saved it. */
  roots: v.record(v.pipe(v.string(), v.regex(rootNamePattern)), v.strictObject({ path: v.string() })),
  /** In order: where a path occurs again, the later layer wins. None at all means: evicted. */
  layers: v.pipe(v.array(layerSchema), v.maxLength(maxNamedLayers)),
  /** Names of layers that a prune is about to remove: no later generation may name them as its own. */
  condemned: v.pipe(v.array(layerName), v.maxLength(maxNamedLayers)),
  /** Seconds from start to ready without a cache, where known. */
  cold_start: v.nullable(v.pipe(v.number(), v.minValue(0))),
});

/** One is what a writer signs with; each costs a reader a verification of the whole line at most. */
export const maxSignatures = 16;

const sealSchema = v.strictObject({
  sha256: sha256Schema,
  signatures: v.pipe(
    v.array(v.strictObject({ key_id: v.string(), signature: v.string() })),
    v.maxLength(maxSignatures),
  ),
});

export type Layer = v.InferOutput<typeof layerSchema>;
export type Manifest = v.InferOutput<typeof manifestSchema>;
type Seal = v.InferOutput<typeof sealSchema>;

/** A manifest that was read and found whole, with the digest its successors name. */
export interface Generation {
  readonly manifest: Manifest;
  readonly sha256: string;
  /** IDs of the keys that signed it: verified where keys are trusted, else as it says itself. Absent: not signed. */
  readonly signedBy?: readonly string[];
}

/**
 * Tells generations apart by what they restore: of two with the same layers the one is as good as the other, as after a
 * prune.
 */
export function contentId({ layers }: Pick<Manifest, "layers">): string {
  return sha256Hex(layers.map(({ name }) => name).join("\n"));
}

/** What the reader of a generation file knows beforehand. */
export interface Expected {
  readonly storeId: string;
  readonly key: CacheKey;
  readonly n: number;
}

export type ParsedGeneration =
  | { readonly kind: "valid"; readonly generation: Generation }
  /** Whole, and no key that is trusted has signed it. */
  | { readonly kind: "untrusted"; readonly generation: Generation; readonly problem: string }
  | { readonly kind: "invalid"; readonly problem: string };

/** The bytes of a generation file. @param signer without one it is not signed. */
export function encodeGeneration(
  manifest: Manifest,
  { signer, as = "generation" }: { signer?: Signer | undefined; as?: SignedAs } = {},
): { bytes: Uint8Array; sha256: string } {
  const line = new TextEncoder().encode(canonicalJson(manifest));
  const sha256 = sha256Hex(line);
  const signatures = signer ? [{ ...signer.sign({ as, storeId: manifest.store_id, line }) }] : [];
  const seal = canonicalJson({ sha256, signatures });
  return { bytes: Buffer.concat([line, Buffer.from(`\n${seal}\n`)]), sha256 };
}

/**
 * Checks the bytes of a generation file.
 * @param trusted the keys of which one must have signed it, where signatures are demanded.
 * @throws {CacheError} `store_unsupported` for a newer format: that is not the same as a torn file.
 */
export function parseGeneration(
  bytes: Uint8Array,
  expected: Expected,
  trusted?: TrustedKeys,
): ParsedGeneration {
  const what = `generation ${expected.n} of ${expected.key}`;
  const parsed = parseStatement(bytes, { what, as: "generation", trusted });
  if (parsed.kind === "invalid") return parsed;
  const problem = mistakenIdentity(parsed.generation.manifest, expected);
  return problem ? { kind: "invalid", problem } : parsed;
}

/**
 * As `parseGeneration`, of a generation that comes from elsewhere: whose it is, it says itself. Its signature covers
 * what it says.
 * @param what it is, for messages.
 */
export function parseStatement(
  bytes: Uint8Array,
  { what, as, trusted }: { what: string; as: SignedAs; trusted?: TrustedKeys | undefined },
): ParsedGeneration {
  const invalid = (problem: string): ParsedGeneration => ({ kind: "invalid", problem });
  if (bytes.length > maxGenerationBytes) return invalid(`it has more than ${maxGenerationBytes} bytes`);
  const end = bytes.indexOf(0x0a);
  if (end < 0) return invalid("it ends within its first line");
  const line = bytes.subarray(0, end);
  const seal = parseSeal(bytes.subarray(end + 1));
  if (!seal) return invalid("its second line is not a seal");
  const sha256 = sha256Hex(line);
  if (seal.sha256 !== sha256) return invalid("its seal does not match its first line");
  const value = isDense(line) ? undefined : parseJson(line);
  const storeId = v.is(namesStore, value) ? value.store_id : "";
  const verified = trusted?.verified({ as, storeId, line }, seal.signatures);
  const distrust = verified?.length === 0 ? whyUntrusted(seal, trusted?.keyIds ?? []) : undefined;
  // What nobody who is trusted has written says nothing of what this program ought to know.
  if (distrust === undefined) refuseNewerFormat(value, what);
  const parsed = v.safeParse(manifestSchema, value, { abortEarly: true });
  if (!parsed.success) return invalid(describeIssue(parsed.issues[0]));
  const problem = contradiction(parsed.output);
  if (problem) return invalid(problem);
  const signedBy = (verified ?? seal.signatures).map(({ key_id }) => key_id);
  const generation = { manifest: parsed.output, sha256, ...(signedBy.length > 0 ? { signedBy } : {}) };
  return distrust === undefined
    ? { kind: "valid", generation }
    : { kind: "untrusted", generation, problem: distrust };
}

const namesStore = v.looseObject({ store_id: v.string() });

/** In words that follow "generation 4 is not trusted: ". */
function whyUntrusted({ signatures }: Seal, trusted: readonly string[]): string {
  if (signatures.length === 0) return "it is not signed";
  const known = signatures.find(({ key_id }) => trusted.includes(key_id));
  return known
    ? `its signature by key ${known.key_id} is wrong`
    : `it is signed by ${signatures.slice(0, 3).map(({ key_id }) => quote(key_id)).join(", ")}, which ` +
      "B10_CACHE_TRUSTED_KEYS_FILE does not have";
}

/** A seal is exactly as its writer writes it: canonical, one line, nothing after it. */
function parseSeal(bytes: Uint8Array): Seal | undefined {
  const seal = v.safeParse(sealSchema, parseJson(bytes));
  if (!seal.success) return undefined;
  const canonical = Buffer.from(`${canonicalJson(seal.output)}\n`);
  return canonical.equals(bytes) ? seal.output : undefined;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

const newerFormat = v.looseObject({ format: v.pipe(v.number(), v.minValue(formatVersion + 1)) });

function refuseNewerFormat(value: unknown, what: string): void {
  if (!v.is(newerFormat, value)) return;
  throw new CacheError(
    "store_unsupported",
    `Cannot read ${what} as its format is ${value.format} and this program ` +
      `knows ${formatVersion}; use a newer b10-compile-cache`,
  );
}

function describeIssue(issue: v.BaseIssue<unknown>): string {
  return `${shownText(v.getDotPath(issue) ?? "the manifest")}: ${shownText(issue.message)}`;
}

/** Why a manifest is not the one that was looked for, if it is not. */
function mistakenIdentity(manifest: Manifest, expected: Expected): string | undefined {
  if (manifest.store_id !== expected.storeId) return `it belongs to another store, ${manifest.store_id}`;
  if (manifest.key !== expected.key) return `it belongs to another key, ${quote(manifest.key)}`;
  if (manifest.n !== expected.n) return `it says it is number ${manifest.n}`;
  return undefined;
}

/** What is wrong with a manifest of the right shape, if anything. */
function contradiction(manifest: Manifest): string | undefined {
  if (manifest.parent && manifest.parent.n >= manifest.n) return `its parent is number ${manifest.parent.n}`;
  const names = manifest.layers.map((layer) => layer.name);
  if (new Set(names).size !== names.length) return "it names a layer twice";
  if (manifest.condemned.some((name) => names.includes(name))) return "it names a layer that it condemns";
  for (const { name, bytes, index } of manifest.layers) {
    if (index.offset + index.bytes !== bytes) {
      return `the index of layer ${name} does not end where the layer does`;
    }
  }
  return undefined;
}
