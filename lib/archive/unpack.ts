/** A layer's frames become files. */
import { type Allocate, release, reusedMemory } from "../memory.ts";
import type { LayerFile } from "../store.ts";
import type { FramesAhead } from "./ahead.ts";
import { type Frame, maxFrameRawBytes } from "./index.ts";
import type { LayerContents, PlannedFile } from "./plan.ts";
import { beginFrame } from "./read.ts";

/** One whose files are being written, and one that is read and decoded meanwhile, on the runtime's threads. */
const leastFramesHeld = 2;

/** What a load of a large cache takes besides: the runtime, the index, and what belongs to a file that spans frames. */
const besidesMb = 180;

/** How many frames a load may hold that is to stay at about `memoryMb`. */
export function framesFor(memoryMb: number): number {
  const frames = Math.floor((memoryMb - besidesMb) * 1e6 / maxFrameRawBytes);
  return Math.max(leastFramesHeld, frames);
}

/** A layer that is open. */
export interface LayerSource {
  readonly file: LayerFile;
  readonly contents: LayerContents;
  /** How many frames are in memory at once. */
  readonly framesHeld?: number;
  /** Frames of some layer that are under way: as many as are held, at most. */
  readonly ahead?: FramesAhead | undefined;
}

/**
 * Receives each file once, whole. Its content is gone once this returns, or once the promise has settled that this returns:
 * then the next files come meanwhile. While it runs the next frames are decoded.
 */
export type FileSink = (file: PlannedFile, content: Uint8Array) => Promise<void> | void;

/** Files that one frame completes. */
export interface ReadFrame {
  readonly files: readonly ReadFile[];
  /** Gives the memory of their contents back: to be called once they are needed no more. */
  readonly release: () => void;
  /** The memory is used again for what comes next. */
  readonly isLent: boolean;
}

/** A file with its whole content. */
export interface ReadFile {
  readonly planned: PlannedFile;
  readonly content: Uint8Array;
}

/**
 * Reads the frames that `files` need, each once, and hands every file to `sink`.
 * @param files of this layer.
 * @throws {CacheError} `bad_layer` at the first frame that fails its check.
 */
export async function unpackLayer(
  source: LayerSource,
  files: readonly PlannedFile[],
  sink: FileSink,
): Promise<void> {
  const underWay: Promise<void>[] = [];
  let before: Promise<void> = Promise.resolve();
  try {
    for await (const read of unpackFrames(source, files, reusedMemory())) {
      const begun: Promise<void>[] = [];
      for (const { planned, content } of read.files) {
        const writing = sink(planned, content);
        if (!writing) continue;
        // It is awaited below; until then a failure must not count as unhandled.
        writing.catch(() => {});
        begun.push(writing);
        underWay.push(writing);
      }
      // So that no more than two frames are held.
      await before;
      before = Promise.all(begun).then(read.release);
      before.catch(() => {});
      if (read.isLent) await before;
    }
    await before;
  } finally {
    await Promise.allSettled([...underWay, before]);
  }
}

/**
 * As `unpackLayer`, frame by frame.
 * @param allocate is asked again once the content for which it was asked before has been yielded, and the next is asked for.
 */
export async function* unpackFrames(
  source: LayerSource,
  files: readonly PlannedFile[],
  allocate: Allocate = (bytes) => new Uint8Array(bytes),
): AsyncGenerator<ReadFrame> {
  const { file, contents, framesHeld = leastFramesHeld, ahead } = source;
  const empty = new Uint8Array(0);
  yield {
    files: files.filter((planned) => planned.size === 0).map((planned) => ({ planned, content: empty })),
    release: () => {},
    isLent: false,
  };
  const filled = files.filter((planned) => planned.size > 0);
  const byFrame = groupByFirstFrame(filled);
  const needed = framesNeeded(contents, filled);
  const decoding = new Map<number, Promise<Uint8Array>>();
  const waiting = needed.values();
  const beginNext = () => {
    const number = waiting.next().value;
    const frame = number === undefined ? undefined : contents.index.frames[number];
    if (number === undefined || !frame) return;
    const { name } = contents.layer;
    decoding.set(number, ahead?.take(name, number) ?? beginFrame(file, frame, name));
  };
  for (let held = 0; held < framesHeld; held++) beginNext();
  // What is not needed after all.
  await ahead?.[Symbol.asyncDispose]();
  let unfinished: Unfinished[] = [];
  const isInOrder = filled.some((planned) => goesOn(planned, contents.index.frames));
  for (let left = needed.length; left > 0; left--) {
    // One that holds on to all of its frames gets more.
    if (decoding.size === 0) beginNext();
    const [number, raw] = await nextDecoded(decoding, isInOrder);
    decoding.delete(number);
    const finished: ReadFile[] = [];
    unfinished = unfinished.filter((begun) => !continueFile(begun, raw, finished));
    if (finished.length > 0) yield { files: finished, release: () => {}, isLent: true };
    const read: ReadFile[] = [];
    for (const planned of byFrame.get(number) ?? []) {
      const content = raw.subarray(planned.offset, planned.offset + planned.size);
      if (content.length === planned.size) read.push({ planned, content });
      else beginFile(unfinished, { planned, first: content, allocate });
    }
    const giveBack = () => {
      release(raw);
      beginNext();
    };
    yield { files: read, release: giveBack, isLent: false };
  }
}

type Extent = Pick<PlannedFile, "frame" | "offset" | "size">;

/** Its bytes do not all lie in the frame in which they begin. */
function goesOn(file: Extent, frames: readonly Frame[]): boolean {
  return file.offset + file.size > (frames[file.frame]?.raw_bytes ?? 0);
}

/**
 * One frame with its number: the lowest, or whichever is decoded first. A small cache has a large frame and a small one, and
 * the files of that are written while the other is decoded.
 */
function nextDecoded(
  decoding: ReadonlyMap<number, Promise<Uint8Array>>,
  isInOrder: boolean,
): Promise<[number, Uint8Array]> {
  const awaited = [...decoding].slice(0, isInOrder ? 1 : undefined);
  return Promise.race(awaited.map(async ([number, raw]) => [number, await raw] as [number, Uint8Array]));
}

/** A content that goes on in the next frame. */
interface Unfinished {
  /** All that have it: equal files are stored once. */
  readonly twins: PlannedFile[];
  readonly content: Uint8Array;
  filled: number;
}

/** No two contents overlap, so that those which begin in one frame and end in another have one place. */
function beginFile(
  unfinished: Unfinished[],
  { planned, first, allocate }: { planned: PlannedFile; first: Uint8Array; allocate: Allocate },
): void {
  const begun = unfinished.find(({ twins: [twin] }) =>
    twin?.frame === planned.frame && twin.offset === planned.offset && twin.size === planned.size
  );
  if (begun) return void begun.twins.push(planned);
  const content = allocate(planned.size);
  content.set(first);
  unfinished.push({ twins: [planned], content, filled: first.length });
}

/** @returns whether the file is complete and has been added to `read`. */
function continueFile(begun: Unfinished, raw: Uint8Array, read: ReadFile[]): boolean {
  const { twins, content } = begun;
  const part = raw.subarray(0, content.length - begun.filled);
  content.set(part, begun.filled);
  begun.filled += part.length;
  if (begun.filled < content.length) return false;
  for (const planned of twins) read.push({ planned, content });
  return true;
}

function groupByFirstFrame(files: readonly PlannedFile[]): Map<number, PlannedFile[]> {
  const groups = new Map<number, PlannedFile[]>();
  for (const file of files) {
    const group = groups.get(file.frame);
    if (group) group.push(file);
    else groups.set(file.frame, [file]);
  }
  return groups;
}

/**
 * The numbers of the frames to read, ascending: those with bytes of `files`, and those that hold no file's bytes
 * at all (a tar's end mark can fall into a frame of its own), so that restoring a whole layer checks all of it.
 */
function framesNeeded({ index }: LayerContents, files: readonly PlannedFile[]): number[] {
  const needed = framesHolding(index.frames, files);
  const used = framesHolding(index.frames, index.files.filter((file) => file.size > 0));
  return [...index.frames.keys()].filter((number) => needed.has(number) || !used.has(number));
}

function framesHolding(
  frames: readonly Frame[],
  files: readonly Extent[],
): Set<number> {
  const holding = new Set<number>();
  // Equal files share a place, and there may be many of them that span many frames: each place counts once.
  const places = new Set<string>();
  for (const file of files) {
    let rest = file.offset + file.size;
    if (!goesOn(file, frames)) {
      holding.add(file.frame);
      continue;
    }
    const place = `${file.frame} ${file.offset} ${file.size}`;
    if (places.has(place)) continue;
    places.add(place);
    for (let number = file.frame; rest > 0 && number < frames.length; number++) {
      holding.add(number);
      rest -= frames[number]?.raw_bytes ?? 0;
    }
  }
  return holding;
}
