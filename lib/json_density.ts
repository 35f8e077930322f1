/**
 * How many values a JSON text has for its length, told before it is parsed: `[[],[],…` takes thirty times its bytes in
 * memory, and a row of an index has a digest of 64 characters. Pure.
 */

/** A row of a file has a value in 17 bytes at the least. */
const minBytesPerValue = 12;

/** So short that nothing in it can matter. */
const alwaysAllowedBytes = 4096;

/** `{"files":[{"path":…` nests three deep; what is wrong there is better told by its name. */
const maxDepth = 8;

const [quoteMark, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openObject, closeObject, openList, closeList] = [0x7b, 0x7d, 0x5b, 0x5d];

/** @returns whether `bytes` have more values, or nest deeper, than those of an index ever do. */
export function isDense(bytes: Uint8Array): boolean {
  let allowed = Math.max(bytes.length, alwaysAllowedBytes) / minBytesPerValue;
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quoteMark) at = endOfString(bytes, at);
    else if (byte === comma) allowed--;
    else if (byte === openObject || byte === openList) {
      allowed--;
      if (++depth > maxDepth) return true;
    } else if (byte === closeObject || byte === closeList) depth--;
    if (allowed < 0) return true;
  }
  return false;
}

/** Of the quote that ends the string that begins at `start`; the end of the bytes where none does. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(quoteMark, start + 1); end >= 0; end = bytes.indexOf(quoteMark, end + 1)) {
    let escapes = 0;
    while (bytes[end - 1 - escapes] === backslash) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return bytes.length;
}
