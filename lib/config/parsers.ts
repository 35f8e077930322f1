/**
 * How one setting's text becomes its value. Each parser returns the value or throws a RuleBroken that completes
 * the sentence "Cannot use VARIABLE "text" as it must …". Pure.
 */

import { formatSocketUrl, parseSocketUrl } from "../socket_url.ts";

/** The rule that a text breaks, in words that follow "it must". */
export class RuleBroken extends Error {
  override readonly name = "RuleBroken";
}

export type Parser<T> = (text: string) => T;

/** A whole number from `least` on. */
export function wholeNumber(least: number): Parser<number> {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < least) {
      throw new RuleBroken(`be a whole number of at least ${least}`);
    }
    return value;
  };
}

/** A number above zero, with or without a fraction. */
export const positiveNumber: Parser<number> = (text) => {
  const value = Number(text);
  if (!/^\d{1,15}(\.\d+)?$/.test(text) || value <= 0) throw new RuleBroken("be a number above 0");
  return value;
};

/** Zero, or a number above it. */
export const notNegative: Parser<number> = (text) => {
  if (!/^\d{1,15}(\.\d+)?$/.test(text)) throw new RuleBroken("be a number, 0 or above");
  return Number(text);
};

const secondsPerUnit: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** "90s", "30m", "12h", "7d", "2w" as milliseconds. */
export const duration: Parser<number> = (text) => {
  const [, count = "", unit = ""] = /^(\d{1,9}(?:\.\d+)?)([smhdw])$/.exec(text) ?? [];
  const seconds = secondsPerUnit[unit];
  if (seconds === undefined) throw new RuleBroken('be a number and a unit of s, m, h, d or w, such as "7d"');
  return Number(count) * seconds * 1000;
};

const bytesPerUnit: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** "500MB", "20GB", "0" as bytes: powers of ten, as disks are sold. */
export const byteSize: Parser<number> = (text) => {
  const [, count = "", unit] = /^(\d{1,12}(?:\.\d+)?)\s?([kmgt]?)b?$/i.exec(text) ?? [];
  const bytes = unit === undefined ? undefined : bytesPerUnit[unit.toLowerCase()];
  if (bytes === undefined) {
    throw new RuleBroken('be a number of bytes, with or without kB, MB, GB or TB: "20GB"');
  }
  return Math.round(Number(count) * bytes);
};

export const yesOrNo: Parser<boolean> = (text) => {
  switch (text.toLowerCase()) {
    case "1":
    case "true":
    case "yes":
    case "on":
      return true;
    case "0":
    case "false":
    case "no":
    case "off":
      return false;
    default:
      throw new RuleBroken("be 1, true, yes or on, or 0, false, no or off");
  }
};

/** An absolute path without "..": symlinks and prefixes are confine.ts's business. */
export const absolutePath: Parser<string> = (text) => {
  if (!text.startsWith("/")) throw new RuleBroken("be an absolute path");
  if (text.includes("\0")) throw new RuleBroken("not contain a NUL byte");
  const components = text.split("/").filter((component) => component !== "" && component !== ".");
  if (components.includes("..")) throw new RuleBroken('not contain a ".." component');
  return `/${components.join("/")}`;
};

/** The path of a file with keys. Text of several lines is no path, but what belongs into such a file. */
export const keyFilePath: Parser<string> = (text) => {
  if (/[\r\n]/.test(text)) throw new RuleBroken("be one line, the path of a file");
  return absolutePath(text);
};

export const pathList: Parser<readonly string[]> = (text) =>
  text.split(":").filter((path) => path !== "").map(absolutePath);

/** Types as mountinfo names them: "fuse.juicefs:fuse.b10fs". */
export const fileSystemTypes: Parser<readonly string[]> = (text) => {
  const types = text.split(":").filter((type) => type !== "");
  if (types.some((type) => !/^[A-Za-z0-9._-]{1,100}$/.test(type))) {
    throw new RuleBroken('be types of file systems, separated by colons, such as "fuse.juicefs"');
  }
  return types;
};

export function pattern(regex: RegExp): Parser<string> {
  return (text) => {
    if (!regex.test(text)) throw new RuleBroken(`match ${regex.source}`);
    return text;
  };
}

export function oneOf<const T extends string>(choices: readonly T[]): Parser<T> {
  return (text) => {
    const choice = choices.find((candidate) => candidate === text.toLowerCase());
    if (choice === undefined) throw new RuleBroken(`be one of ${choices.join(", ")}`);
    return choice;
  };
}

/** "http://127.0.0.1:8000/v1/models", or a Unix socket: "unix:/run/vllm.sock", "unix:/run/vllm.sock:/health". */
export const httpUrl: Parser<string> = (text) => {
  const socket = parseSocketUrl(text);
  if (socket) {
    const { pathname, search } = new URL(socket.requestPath, "http://localhost");
    const requestPath = pathname + search;
    return formatSocketUrl({ ...socket, socketPath: absolutePath(socket.socketPath), requestPath });
  }
  const url = URL.parse(text);
  if (!url || !["http:", "https:"].includes(url.protocol)) {
    throw new RuleBroken("be an http or https address, or unix:/path/of/a/socket");
  }
  return url.href;
};
