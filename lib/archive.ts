/** The archive: files become a layer, layers become files. What a layer is stands in docs/format.md. */
export { framesToPack, type PackedLayer, type Packing, packLayer, type SourceFile } from "./archive/pack.ts";
export { type LayerContents, type Plan, planLayers, type PlannedFile, splitRoot } from "./archive/plan.ts";
export { pathConflicts } from "./entry_rules.ts";
export { type IndexedFile, maxIndexesRawBytes } from "./archive/index.ts";
export { readIndex } from "./archive/read.ts";
export { FramesAhead } from "./archive/ahead.ts";
export { framesFor, unpackFrames, unpackLayer } from "./archive/unpack.ts";
