/** A PAX extended header: records of `<length> <key>=<value>\n`. Read strictly. Pure. */
import { quoteShort } from "../entry_rules.ts";
import { HeaderRule } from "./tar_header.ts";

export interface PaxRecords {
  readonly path?: string;
  readonly linkPath?: string;
  readonly mtimeNs?: bigint;
}

const nanosPerSecond = 1_000_000_000n;

/**
 * Owners, access times, extended attributes and comments are passed over: nothing of them is ever applied.
 * @throws {HeaderRule} also for records that say where the content is: a size beside the header's, a sparse map.
 */
export function parsePax(bytes: Uint8Array): PaxRecords {
  let path: string | undefined;
  let linkPath: string | undefined;
  let mtimeNs: bigint | undefined;
  for (const [key, value] of records(bytes)) {
    if (key === "path") path = value;
    else if (key === "linkpath") linkPath = value;
    else if (key === "mtime") mtimeNs = parseTime(value);
    else if (key === "size" || key.startsWith("GNU.sparse.") || key === "hdrcharset") {
      throw new HeaderRule(`not have the PAX record ${quoteShort(key)}`);
    }
  }
  return {
    ...(path === undefined ? {} : { path }),
    ...(linkPath === undefined ? {} : { linkPath }),
    ...(mtimeNs === undefined ? {} : { mtimeNs }),
  };
}

function* records(bytes: Uint8Array): Generator<[key: string, value: string]> {
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(0x20, at);
    const digits = Buffer.from(bytes.subarray(at, Math.max(blank, at))).toString("latin1");
    const length = /^[1-9]\d{0,6}$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    if (length === 0 || end > bytes.length || bytes[end - 1] !== 0x0a || blank >= end) {
      throw new HeaderRule("have PAX records that are whole");
    }
    const record = decodeName(bytes.subarray(blank + 1, end - 1));
    const equals = record.indexOf("=");
    if (equals < 1) throw new HeaderRule("have PAX records with a key");
    yield [record.slice(0, equals), record.slice(equals + 1)];
    at = end;
  }
}

/** Decimal seconds, with a fraction or without. */
function parseTime(text: string): bigint {
  const [, sign, whole, fraction = ""] = /^(-?)(\d{1,12})(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === undefined) throw new HeaderRule("have a time that is a decimal number of seconds");
  const ns = BigInt(whole) * nanosPerSecond + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return sign === "-" ? -ns : ns;
}

/** @throws {HeaderRule} */
export function decodeName(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new HeaderRule("be valid UTF-8");
  }
}
