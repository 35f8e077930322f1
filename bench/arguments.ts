/** Values of options that several benchmarks take. Pure. */

/** @throws {Error} where it is not a whole number from 1 */
export function readCount(option: string, text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new Error(
    `Cannot use ${option} "${text}" as it must be a whole number from 1`,
  );
}

/** The words of a list that is separated by commas. */
export function readWords(text: string): string[] {
  return text.split(",").filter((word) => word !== "");
}

/** @throws {Error} for a word that is not one of `known` */
export function readKnown<T extends string>(
  option: string,
  text: string,
  known: readonly T[],
): T[] {
  return readWords(text).map((word) => {
    const found = known.find((one) => one === word);
    if (found !== undefined) return found;
    throw new Error(
      `Cannot use ${option} "${word}" as it takes ${known.join(", ")}, separated by commas`,
    );
  });
}
