/** How values are put into sentences. Pure. */

/** "38.2 MB": powers of ten, as disks and networks are sold. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  // By what is shown: 999,999 bytes are "1.00 MB", and not "1000.0 kB".
  while (Number(value.toFixed(1)) >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 9.995 ? 2 : 1)} ${units[unit]}`;
}

/** "84 ms", "2.41 s", "3 min 20 s". */
export function formatDuration(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** "1 file", "711 files". */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * A name from outside, between quotes and with every control character, quote and invisible mark escaped, so that
 * it can neither move a terminal's cursor nor forge a line of a log.
 */
export function quote(name: string): string {
  return printableJson(name);
}

/** A value as JSON on one line, which parses to the same, with every character that is not seen escaped. */
export function printableJson(value: unknown): string {
  return escapeUnseen(JSON.stringify(value));
}

/** `text` on one line, with every character that is not seen (control, bidi mark, separator) as JSON escapes it. */
export function escapeUnseen(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (mark) => mark.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
  );
}
