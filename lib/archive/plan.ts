/**
 * What a list of layers restores, checked whole before a byte is written: every path, size and place. The saver
 * runs the same check over what it is about to commit. Pure.
 */
import { entryPathProblem } from "../entry_path.ts";
import {
  decodesToMore,
  describeConflict,
  directoriesAbove,
  fileSizeProblem,
  maxRawBytes,
  pathConflicts,
  quoteShort as quote,
  restoredMode,
  tooMany,
} from "../entry_rules.ts";
import { CacheError } from "../errors.ts";
import type { Layer } from "../manifest.ts";
import { belowRootPattern, stagingPrefix } from "../roots.ts";
import { type IndexedFile, type LayerIndex, maxFrameRawBytes } from "./index.ts";

/** tar's block: headers, and the starts of files, lie on multiples of it. */
export const tarBlockBytes = 512;

/** zstd makes nothing larger of a frame that it cannot compress: a 256th more, and headers. */
const maxFrameBytes = maxFrameRawBytes + maxFrameRawBytes / 256 + 64 * 1024;

/** Real caches decode to 20 times their size, and equal files, stored once, come on top. Zeros reach 30,000. */
const maxRatio = 1000;

export interface LayerContents {
  readonly layer: Layer;
  readonly index: LayerIndex;
}

export interface PlannedFile extends IndexedFile {
  /** The name of the layer that holds it. */
  readonly layer: string;
}

/** By path. Where a path occurs in several layers, the last one's file. */
export type Plan = ReadonlyMap<string, PlannedFile>;

/** @throws {CacheError} `bad_index`, naming layer, entry and rule. */
export function planLayers(layers: readonly LayerContents[]): Plan {
  const plan = new Map<string, PlannedFile>();
  for (const { layer, index } of layers) {
    checkFrames(layer, index);
    checkTotals(layer, index);
    checkPlaces(layer, index);
    addFiles(plan, layer, index.files);
  }
  const directories = directoriesAbove(plan.keys());
  if (!directories) throw new CacheError("bad_index", `Cannot use this cache as ${tooMany}`);
  for (const directory of directories) if (plan.has(directory)) refuseFilesAsParents(plan, layers);
  return plan;
}

/** Each of a layer's files once, and in the place of one that an earlier layer has. */
function addFiles(plan: Map<string, PlannedFile>, layer: Layer, files: readonly IndexedFile[]): void {
  for (const file of files) {
    const { path, size } = file;
    const problem = filePathProblem(path) ?? fileSizeProblem(size);
    if (problem) refuse(layer.name, `the path ${quote(path)} must ${problem}`);
    if (plan.get(path)?.layer === layer.name) refuse(layer.name, `the path ${quote(path)} must occur once`);
    plan.set(path, plannedFile(file, layer.name));
  }
}

/** Field by field: a spread takes several times as long, and there may be 100,000. */
function plannedFile(file: IndexedFile, layer: string): PlannedFile {
  const { path, size, mode, mtime, sha256, frame, offset, replacements } = file;
  const planned = { path, size, mode: restoredMode(mode), mtime, sha256, frame, offset, layer };
  return replacements === undefined ? planned : { ...planned, replacements };
}

function refuse(layer: string, problem: string): never {
  throw new CacheError("bad_index", `Cannot use layer ${layer} as ${problem}`, { layer });
}

/** The frames follow one another from the layer's first byte to its index. @throws {CacheError} `bad_index` */
export function checkFrames(layer: Layer, { frames }: LayerIndex): void {
  let end = 0;
  for (const [number, frame] of frames.entries()) {
    if (frame.offset !== end) {
      refuse(layer.name, `frame ${number} must begin at ${end}, not at ${frame.offset}`);
    }
    if (frame.bytes === 0) refuse(layer.name, `frame ${number} must not be empty`);
    if (frame.bytes > maxFrameBytes) {
      refuse(layer.name, `frame ${number} must have at most ${maxFrameBytes} bytes, not ${frame.bytes}`);
    }
    if (frame.raw_bytes % tarBlockBytes !== 0) {
      refuse(layer.name, `frame ${number} must decode to whole blocks of ${tarBlockBytes} bytes`);
    }
    end += frame.bytes;
  }
  if (end !== layer.index.offset) {
    refuse(layer.name, `its frames must end at ${layer.index.offset}, not at ${end}`);
  }
}

function checkTotals(layer: Layer, index: LayerIndex): void {
  if (index.files.length !== layer.files) {
    refuse(layer.name, `it must hold ${layer.files} files, not ${index.files.length}`);
  }
  const rawBytes = index.files.reduce((sum, file) => sum + file.size, 0);
  if (rawBytes !== layer.raw_bytes) {
    refuse(layer.name, `its files must have ${layer.raw_bytes} bytes together, not ${rawBytes}`);
  }
  const problem = ratioProblem(index, layer.index.offset);
  if (problem) refuse(layer.name, problem);
}

function filePathProblem(path: string): string | undefined {
  if (!belowRootPattern.test(path)) return "begin with a root's name";
  if (path.includes(`/${stagingPrefix}`) && isBelowStaging(path)) {
    return `not lie below a directory of this program's own, ${stagingPrefix}…`;
  }
  return entryPathProblem(path);
}

/** A save never enters such directories, and a load sweeps them. */
function isBelowStaging(path: string): boolean {
  return path.split("/").slice(0, -1).some((name) => name.startsWith(stagingPrefix));
}

/**
 * Why a layer decodes to more than its `storedBytes` may, in words that follow "as". A save asks as well, so that it
 * never writes what no load takes.
 */
export function ratioProblem({ frames, files }: Pick<LayerIndex, "frames" | "files">, storedBytes: number) {
  const most = maxRawBytes(storedBytes, maxRatio);
  const decoded = frames.reduce((sum, frame) => sum + frame.raw_bytes, 0);
  const restored = files.reduce((sum, file) => sum + file.size, 0);
  return Math.max(decoded, restored) > most ? decodesToMore(most) : undefined;
}

/** `<root>/<path below it>` in its two parts. */
export function splitRoot(path: string): [root: string, rest: string] {
  const slash = path.indexOf("/");
  return slash < 0 ? [path, ""] : [path.slice(0, slash), path.slice(slash + 1)];
}

/** Each file lies within the frames, and two files either share all their bytes or none. */
function checkPlaces(layer: Layer, { frames, files }: LayerIndex): void {
  const starts: number[] = [];
  let total = 0;
  for (const frame of frames) {
    starts.push(total);
    total += frame.raw_bytes;
  }
  const refusePlace = (file: IndexedFile, problem: string) =>
    refuse(layer.name, `the bytes of ${quote(file.path)} must ${problem}`);
  const places = files.filter((file) => file.size > 0).map((file) => {
    const frameStart = starts[file.frame];
    const frame = frames[file.frame];
    if (frameStart === undefined || frame === undefined) {
      return refusePlace(file, `lie in a frame that exists, not in ${file.frame}`);
    }
    if (file.offset >= frame.raw_bytes || file.offset % tarBlockBytes !== 0) {
      refusePlace(file, `begin at a block within frame ${file.frame}, not at ${file.offset}`);
    }
    const start = frameStart + file.offset;
    if (start + file.size > total) refusePlace(file, "end within the frames");
    return { file, start };
  }).sort((a, b) => a.start - b.start);
  for (const [at, { file, start }] of places.entries()) {
    const before = places[at - 1];
    if (!before || before.start + before.file.size <= start) continue;
    const same = before.start === start && before.file.size === file.size &&
      before.file.sha256 === file.sha256;
    if (!same) refuse(layer.name, `the bytes of ${quote(file.path)} and ${quote(before.file.path)} overlap`);
  }
}

/** @throws {CacheError} `bad_index`, at the fault of the later layer, where a file lies below another. */
function refuseFilesAsParents(plan: Plan, layers: readonly LayerContents[]): void {
  const [conflict] = pathConflicts(plan);
  if (!conflict) return;
  const holders = [conflict.file, conflict.below].map((path) => plan.get(path)?.layer);
  const layer = layers.findLast((contents) => holders.includes(contents.layer.name))?.layer.name;
  throw new CacheError(
    "bad_index",
    `Cannot use this cache as ${describeConflict(conflict)}`,
    layer === undefined ? {} : { layer },
  );
}
