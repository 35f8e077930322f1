/**
 * What the bytes of a zstd frame say about themselves (RFC 8878), read without decoding anything: a decoder is
 * only ever given one frame whose window, size and end are known. Pure.
 */

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;

/** The size of a skippable frame's header: magic and length. */
export const skippableHeaderBytes = 8;

/** No window may ask for more memory than this to be decoded. */
export const maxWindowBytes = 2 ** 27;

export interface FrameFacts {
  /** What the frame decodes to, as its header promises. */
  readonly contentBytes: number;
  readonly windowBytes: number;
  readonly hasChecksum: boolean;
  readonly dictionaryId: number;
  /** From the magic to the end of the checksum. */
  readonly frameBytes: number;
}

/**
 * Walks over a frame's header and block headers.
 * @returns undefined where `bytes` do not begin with a whole frame that states its content size.
 */
export function describeFrame(bytes: Uint8Array): FrameFacts | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return walkFrame(view);
  } catch (error) {
    // Reading past the end of a DataView: the frame is cut short.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function walkFrame(view: DataView): FrameFacts | undefined {
  if (view.getUint32(0, true) !== frameMagic) return undefined;
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 0x03] ?? 0;
  const sizeFlag = descriptor >> 6;
  // Flag 0 means no content size, unless the frame is a single segment.
  if ((sizeFlag === 0 && !singleSegment) || (descriptor & 0x08) !== 0) return undefined;
  let at = 5;
  let windowBytes = 0;
  if (!singleSegment) {
    const window = view.getUint8(at++);
    const base = 2 ** (10 + (window >> 3));
    windowBytes = base + (base / 8) * (window & 0x07);
  }
  const dictionaryId = readLittleEndian(view, at, dictionaryBytes);
  at += dictionaryBytes;
  const contentBytes = readContentSize(view, at, sizeFlag);
  at += [1, 2, 4, 8][sizeFlag] ?? 0;
  at = endOfBlocks(view, at) + (hasChecksum ? 4 : 0);
  if (at > view.byteLength) return undefined;
  return {
    contentBytes,
    windowBytes: singleSegment ? contentBytes : windowBytes,
    hasChecksum,
    dictionaryId,
    frameBytes: at,
  };
}

function readContentSize(view: DataView, at: number, sizeFlag: number): number {
  switch (sizeFlag) {
    case 0:
      return view.getUint8(at);
    case 1:
      return view.getUint16(at, true) + 256;
    case 2:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}

function readLittleEndian(view: DataView, at: number, bytes: number): number {
  let value = 0;
  for (let i = bytes - 1; i >= 0; i--) value = value * 256 + view.getUint8(at + i);
  return value;
}

const rleBlock = 1;
const reservedBlock = 3;

function endOfBlocks(view: DataView, start: number): number {
  for (let at = start;;) {
    const header = readLittleEndian(view, at, 3);
    const kind = (header >> 1) & 0x03;
    if (kind === reservedBlock) throw new RangeError("reserved block type");
    at += 3 + (kind === rleBlock ? 1 : header >> 3);
    if ((header & 1) !== 0) return at;
  }
}

/** Wraps bytes so that every zstd decoder passes over them. */
export function skippableFrame(content: Uint8Array): Uint8Array {
  const frame = new Uint8Array(skippableHeaderBytes + content.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, skippableMagic, true);
  view.setUint32(4, content.length, true);
  frame.set(content, skippableHeaderBytes);
  return frame;
}

/** The content of a skippable frame, or undefined where `frame` is not exactly one. */
export function skippableContent(frame: Uint8Array): Uint8Array | undefined {
  if (frame.length < skippableHeaderBytes) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== skippableMagic) return undefined;
  return view.getUint32(4, true) === frame.length - skippableHeaderBytes
    ? frame.subarray(skippableHeaderBytes)
    : undefined;
}
