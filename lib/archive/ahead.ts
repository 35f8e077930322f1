/**
 * A layer's first frames, read and decoded while its index is still checked: on a pod that has nothing yet all frames are
 * needed, and the runtime's threads would have nothing else to do. Nothing of them is used before the plan is made.
 */
import { release } from "../memory.ts";
import type { LayerFile } from "../store.ts";
import { checkFrames, type LayerContents } from "./plan.ts";
import { beginFrame } from "./read.ts";

export class FramesAhead implements AsyncDisposable {
  readonly #layer: string;
  /** By their numbers; what nobody has taken. */
  readonly #frames = new Map<number, Promise<Uint8Array>>();

  /**
   * @param count how many frames, the first of the layer.
   * @throws {CacheError} `bad_index` where the frames are not what a layer's may be; then nothing is read.
   */
  constructor(file: LayerFile, { layer, index }: LayerContents, count: number) {
    checkFrames(layer, index);
    this.#layer = layer.name;
    for (const [number, frame] of index.frames.slice(0, count).entries()) {
      this.#frames.set(number, beginFrame(file, frame, layer.name));
    }
  }

  /** @returns the frame as `readFrame` does, once; undefined where it was not begun. */
  take(layer: string, number: number): Promise<Uint8Array> | undefined {
    if (layer !== this.#layer) return undefined;
    const frame = this.#frames.get(number);
    this.#frames.delete(number);
    return frame;
  }

  /** Returns once nothing is read any more, with the memory given back of what was not taken. */
  async [Symbol.asyncDispose](): Promise<void> {
    const left = [...this.#frames.values()];
    this.#frames.clear();
    for (const frame of await Promise.allSettled(left)) {
      if (frame.status === "fulfilled") release(frame.value);
    }
  }
}
