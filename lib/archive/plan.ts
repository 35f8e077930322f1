/**
 * What a list of layers restores, checked whole before a byte is written: every path, size and place. The saver
 * runs the same check over what it is about to commit. Pure.
 */
import { entryPathProblem } from "../entry_path.ts";
import { CacheError } from "../errors.ts";
import type { Layer } from "../manifest.ts";
import { rootNamePattern } from "../roots.ts";
import { quote } from "../text.ts";
import type { IndexedFile, LayerIndex } from "./index.ts";

/** tar's block: headers, and the starts of files, lie on multiples of it. */
export const tarBlockBytes = 512;

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
    checkFiles(layer, index);
    for (const file of index.files) plan.set(file.path, { ...file, layer: layer.name });
  }
  refuseFilesAsParents(plan, layers);
  return plan;
}

function refuse(layer: string, problem: string): never {
  throw new CacheError("bad_index", `Cannot use layer ${layer} as ${problem}`, { layer });
}

/** The frames follow one another from the layer's first byte to its index. */
function checkFrames(layer: Layer, { frames }: LayerIndex): void {
  let end = 0;
  for (const [number, frame] of frames.entries()) {
    if (frame.offset !== end) {
      refuse(layer.name, `frame ${number} must begin at ${end}, not at ${frame.offset}`);
    }
    if (frame.bytes === 0) refuse(layer.name, `frame ${number} must not be empty`);
    if (frame.raw_bytes % tarBlockBytes !== 0) {
      refuse(layer.name, `frame ${number} must decode to whole blocks of ${tarBlockBytes} bytes`);
    }
    end += frame.bytes;
  }
  if (end !== layer.index.offset) {
    refuse(layer.name, `its frames must end at ${layer.index.offset}, not at ${end}`);
  }
}

function checkFiles(layer: Layer, index: LayerIndex): void {
  if (index.files.length !== layer.files) {
    refuse(layer.name, `it must hold ${layer.files} files, not ${index.files.length}`);
  }
  const rawBytes = index.files.reduce((sum, file) => sum + file.size, 0);
  if (rawBytes !== layer.raw_bytes) {
    refuse(layer.name, `its files must have ${layer.raw_bytes} bytes together, not ${rawBytes}`);
  }
  const paths = new Set<string>();
  for (const file of index.files) {
    const problem = filePathProblem(file.path);
    if (problem) refuse(layer.name, `the path ${quote(file.path)} must ${problem}`);
    if (paths.has(file.path)) refuse(layer.name, `the path ${quote(file.path)} must occur once`);
    paths.add(file.path);
  }
  checkPlaces(layer, index);
}

function filePathProblem(path: string): string | undefined {
  const [root, rest] = splitRoot(path);
  if (!rootNamePattern.test(root) || rest === "") return "begin with a root's name";
  return entryPathProblem(path);
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
  const places = files.filter((file) => file.size > 0).map((file) => {
    const frameStart = starts[file.frame];
    const frame = frames[file.frame];
    const place = `the bytes of ${quote(file.path)}`;
    if (frameStart === undefined || frame === undefined) {
      return refuse(layer.name, `${place} must lie in a frame that exists, not in ${file.frame}`);
    }
    if (file.offset >= frame.raw_bytes || file.offset % tarBlockBytes !== 0) {
      refuse(layer.name, `${place} must begin at a block within frame ${file.frame}, not at ${file.offset}`);
    }
    const start = frameStart + file.offset;
    if (start + file.size > total) refuse(layer.name, `${place} must end within the frames`);
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

/** One path's file cannot be another's directory. @throws {CacheError} `bad_index`, at the fault of the later layer */
function refuseFilesAsParents(plan: Plan, layers: readonly LayerContents[]): void {
  const [conflict] = pathConflicts(new Set(plan.keys()));
  if (!conflict) return;
  const holders = [conflict.file, conflict.below].map((path) => plan.get(path)?.layer);
  const layer = layers.findLast((contents) => holders.includes(contents.layer.name))?.layer.name;
  throw new CacheError(
    "bad_index",
    `Cannot use this cache as ${quote(conflict.file)} is a file in it, and ${
      quote(conflict.below)
    } lies below that`,
    layer === undefined ? {} : { layer },
  );
}

export interface PathConflict {
  readonly file: string;
  readonly below: string;
}

/** Every path of the set that lies below another one, with the nearest such. */
export function pathConflicts(paths: ReadonlySet<string>): PathConflict[] {
  /** By directory: the file of the set that it is, or lies below, if any. */
  const known = new Map<string, string | undefined>();
  const fileAbove = (path: string): string | undefined => {
    const slash = path.lastIndexOf("/");
    if (slash <= 0) return undefined;
    const directory = path.slice(0, slash);
    if (!known.has(directory)) known.set(directory, paths.has(directory) ? directory : fileAbove(directory));
    return known.get(directory);
  };
  return [...paths].flatMap((below) => {
    const file = fileAbove(below);
    return file === undefined ? [] : [{ file, below }];
  });
}
