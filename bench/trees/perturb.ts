/** Contents that differ from each other and still compress like the real ones. Pure. */

const stretchBytes = 256;
const byteValues = 256;

/** A copy of `content` with one random byte in every stretch of 256, so that nothing is a duplicate of anything. */
export function perturb(
  content: Uint8Array,
  chance: (below: number) => number,
): Uint8Array {
  // A Buffer's slice() would share its memory.
  const changed = new Uint8Array(content);
  for (let at = 0; at < changed.length; at += stretchBytes) {
    changed[at + chance(Math.min(stretchBytes, changed.length - at))] = chance(
      byteValues,
    );
  }
  return changed;
}
