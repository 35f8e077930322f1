/**
 * One whole cache in one file, for people to carry from store to store. It is a layer, which `tar --zstd -xf` opens, and
 * after it in a skippable frame the generation that would name that layer, sealed as in a store. docs/format.md has it.
 */
import { sha256 } from "./crypto.ts";
import { type Packing, packLayer, readIndex, type SourceFile } from "./archive.ts";
import { skippableContent, skippableFrame, skippableHeaderBytes } from "./archive/frames.ts";
import type { LayerContents } from "./archive/plan.ts";
import { CacheError } from "./errors.ts";
import { encodeGeneration, type Manifest, parseStatement } from "./manifest.ts";
import type { Signer, TrustedKeys } from "./signatures.ts";
import type { LayerFile } from "./store.ts";
import { quote } from "./text.ts";

/** The last bytes of every bundle, after the length of the generation: 32 bits, little-endian. */
const magic = "b10cache";
const footerBytes = 4 + magic.length;

/** As a generation file in a store; one layer is a few hundred bytes. */
const maxGenerationBytes = 1024 * 1024;

export interface WrittenBundle {
  readonly bytes: number;
  readonly files: number;
  readonly rawBytes: number;
}

/**
 * Writes `files` as one bundle.
 * @param about the generation that they were: its number, key, environment and roots go with them.
 * @param nonce 32 hex digits that are never used twice.
 * @param signer without one it is not signed.
 */
export async function writeBundle(
  files: AsyncIterable<SourceFile>,
  { about, nonce, signer, append, packing }: {
    about: Manifest;
    nonce: string;
    signer?: Signer | undefined;
    append: (bytes: Uint8Array) => Promise<void>;
    packing: Packing;
  },
): Promise<WrittenBundle> {
  const digest = sha256();
  const write = async (bytes: Uint8Array) => {
    digest.update(bytes);
    await append(bytes);
  };
  const { layer } = await packLayer(files, { write }, packing);
  const name = `${digest.digest("hex")}-${nonce}.tar.zst`;
  const manifest = { ...about, nonce, parent: null, layers: [{ name, ...layer }], condemned: [] };
  const frame = skippableFrame(withFooter(encodeGeneration(manifest, { signer, as: "export" }).bytes));
  await append(frame);
  return { bytes: layer.bytes + frame.length, files: layer.files, rawBytes: layer.raw_bytes };
}

function withFooter(generation: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(generation.length);
  return Buffer.concat([generation, length, Buffer.from(magic)]);
}

export interface Bundle {
  readonly manifest: Manifest;
  readonly contents: LayerContents;
}

/**
 * Reads what a bundle says, and its index; the contents are read, and checked, by whoever unpacks them.
 * @param name for messages.
 * @param trusted the keys of which one must have signed it, where signatures are demanded.
 * @throws {CacheError} `untrusted`, before its index is read; `bad_archive`, `bad_layer`, `bad_index`;
 * `store_unsupported` for a newer format.
 */
export async function readBundle(file: LayerFile, name: string, trusted?: TrustedKeys): Promise<Bundle> {
  const refuse = (problem: string): never => {
    throw new CacheError("bad_archive", `Cannot use ${quote(name)} as ${problem}`);
  };
  if (file.bytes < footerBytes + skippableHeaderBytes) return refuse("it is no exported cache");
  const footer = Buffer.from(await file.read(file.bytes - footerBytes, footerBytes));
  if (footer.toString("latin1", 4) !== magic) return refuse("it is no exported cache, or was cut short");
  const length = footer.readUInt32LE();
  const start = file.bytes - footerBytes - length - skippableHeaderBytes;
  if (length > maxGenerationBytes || start < 0) return refuse(`its generation cannot have ${length} bytes`);
  const content = skippableContent(await file.read(start, file.bytes - start));
  if (!content) return refuse("the frame with its generation is not whole");
  const parsed = parseStatement(content.subarray(0, length), {
    what: `the generation in ${quote(name)}`,
    as: "export",
    trusted,
  });
  if (parsed.kind === "invalid") return refuse(`its generation is not valid: ${parsed.problem}`);
  if (parsed.kind === "untrusted") {
    throw new CacheError(
      "untrusted",
      `Cannot use ${
        quote(name)
      } as B10_CACHE_TRUSTED_KEYS_FILE demands a signature and ${parsed.problem}; export it ` +
        "with B10_CACHE_SIGNING_KEY_FILE set",
    );
  }
  const { manifest } = parsed.generation;
  const [layer, ...others] = manifest.layers;
  if (!layer || others.length > 0) return refuse(`it must have one layer, not ${manifest.layers.length}`);
  if (layer.bytes !== start) return refuse(`its layer must have ${start} bytes, not ${layer.bytes}`);
  const index = await readIndex({ ...file, bytes: start }, layer);
  return { manifest, contents: { layer, index } };
}
