/** How what lies in a store is told apart by its path. */
import { isStagingName } from "../../lib/roots.ts";
import { key } from "../pods.ts";
import type { Entries } from "./site.ts";
import { textOf } from "./trees.ts";

export const storeDir = "/store";
export const stateDir = "/state";

/** Of the cache that the trials are about. */
export const keyDir = `${storeDir}/native/${key}`;

const generationPath = /^\/store\/native\/([^/]+)\/generations\/(\d{10})\.json(\/content)?$/;
const layerPath = /^\/store\/native\/([^/]+)\/layers\/([^/]+)$/;

/** A generation file, of whichever cache. */
export interface GenerationFile {
  readonly ofKey: string;
  readonly n: number;
  readonly content: Uint8Array;
}

/** Every generation file by its path, ascending by number within a cache. */
export function generationFiles(entries: Entries): Map<string, GenerationFile> {
  const files = new Map<string, GenerationFile>();
  for (const [path, { kind, content }] of entries) {
    const [, ofKey, digits] = generationPath.exec(path) ?? [];
    if (kind === "file" && ofKey !== undefined) files.set(path, { ofKey, n: Number(digits), content });
  }
  return files;
}

/** Whose layer lies at the path, if one does. */
export function layerAt(path: string): { ofKey: string; name: string } | undefined {
  const [, ofKey, name] = layerPath.exec(path) ?? [];
  return ofKey === undefined || name === undefined ? undefined : { ofKey, name };
}

interface ReadManifest {
  readonly layers: readonly { readonly name: string }[];
  readonly condemned: readonly string[];
}

/** What a generation file says of layers. */
export function manifestOf({ content }: GenerationFile): ReadManifest {
  const text = textOf(content);
  return JSON.parse(text.slice(0, text.indexOf("\n")));
}

/** The path lies in a staging directory of a pod, or is one: `/<pod>/<staging>/…`. */
export function isStaged(path: string): boolean {
  return isStagingName(path.split("/")[2] ?? "");
}
