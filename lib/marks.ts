/**
 * What readers and pruners note about a cache for those who come later: hints, each of which is verified by whoever
 * acts on it.
 */
import * as v from "valibot";
import { canonicalJson, type JsonValue } from "./canonical_json.ts";
import type { CacheKey } from "./key.ts";
import { layerName } from "./manifest.ts";
import { maxMarks, type Store, type StoredMark } from "./store.ts";

const markSchema = v.variant("kind", [
  /** A layer that a reader found absent or damaged. */
  v.looseObject({ kind: v.literal("bad_layer"), layer: layerName }),
  /** Layers that a pruner found nobody naming: once the mark is old enough they may go. */
  v.looseObject({ kind: v.literal("candidates"), layers: v.array(layerName) }),
  /** What was restored when a server died before it was ready: a content ID (lib/manifest.ts). */
  v.looseObject({ kind: v.literal("suspect"), content: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)) }),
]);

/** Names in a mark, so that it stays below `maxMarkBytes`; further ones are for a later run. */
export const maxCandidates = 500;

export type Mark = { readonly kind: "bad_layer"; readonly layer: string } | {
  readonly kind: "candidates";
  readonly layers: readonly string[];
} | { readonly kind: "suspect"; readonly content: string };

export type ReadMark = Mark & { readonly name: string; readonly madeMs: number };

/** All marks of a key that this program understands. */
export async function readMarks(store: Store, key: CacheKey): Promise<ReadMark[]> {
  return understood(await store.marks(key));
}

function understood(stored: readonly StoredMark[]): ReadMark[] {
  return stored.flatMap(({ name, bytes, madeMs }) => {
    const mark = parseMark(bytes);
    return mark ? [{ ...mark, name, madeMs }] : [];
  });
}

function parseMark(bytes: Uint8Array): Mark | undefined {
  try {
    const parsed = v.safeParse(markSchema, JSON.parse(new TextDecoder().decode(bytes)));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

export async function putMark(store: Store, key: CacheKey, mark: Mark): Promise<void> {
  await store.putMark(key, new TextEncoder().encode(`${canonicalJson(fieldsOf(mark))}\n`));
}

function fieldsOf(mark: Mark): JsonValue {
  switch (mark.kind) {
    case "bad_layer":
      return { kind: mark.kind, layer: mark.layer };
    case "candidates":
      return { kind: mark.kind, layers: [...mark.layers] };
    case "suspect":
      return { kind: mark.kind, content: mark.content };
  }
  return mark satisfies never;
}

/**
 * Notes a layer as bad, unless that is known. Best effort: a reader needs no right to write to the store.
 */
export async function markBadLayer(store: Store, key: CacheKey, layer: string): Promise<void> {
  try {
    const stored = await store.marks(key);
    // Whether it is among those that were not looked at cannot be told: every reader would add another.
    if (stored.length >= maxMarks) return;
    if (understood(stored).some((mark) => mark.kind === "bad_layer" && mark.layer === layer)) return;
    await putMark(store, key, { kind: "bad_layer", layer });
  } catch {
    // A reader that cannot write has told its user at least.
  }
}
